#!/bin/sh
# What the tests need of Debian: a PACS, DICOM senders, validators and readers, a database, Prometheus, time zones, tools
# for network namespaces and images, a browser and npm for the viewer OHIF. Without root: says so and goes on, and the
# tests that need them skip (in CI they fail).
set -eu
missing=""
for pair in Orthanc:orthanc storescu:dcmtk dciodvfy:dicom3tools pdftoppm:poppler-utils openssl:openssl ip:iproute2 \
  buildah:buildah debootstrap:debootstrap promtool:prometheus chromium:chromium npm:npm \
  systemd-analyze:systemd rsyslogd:rsyslog xmllint:libxml2-utils ss:iproute2 \
  plastimatch:plastimatch; do
  command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
[ -f /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
[ -f /usr/share/zoneinfo/Europe/Berlin ] || missing="$missing tzdata"
ls /usr/lib/*/rsyslog/lmnsd_ossl.so >/dev/null 2>&1 || missing="$missing rsyslog-openssl"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Real peers are missing ($missing ): their tests will be skipped. As root: apt-get install$missing"
  exit 0
fi
echo "Installing the tests' real peers:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
