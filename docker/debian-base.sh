#!/bin/sh
# A Debian base image by debootstrap, for where no registry can be reached: debian-base.sh NAME. Needs root and buildah.
set -eu
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log \
  "$root"/usr/share/locale/* "$root"/usr/share/man/*
find "$root/usr/share/doc" -type f ! -name copyright -delete
buildah config --cmd bash "$container"
buildah commit -q "$container" "$1" >/dev/null
