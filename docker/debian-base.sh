#!/bin/sh
# A Debian base image by debootstrap, for where no registry can be reached: debian-base.sh NAME. Needs root and buildah.
#   SNAPSHOT=20261130T000000Z   Debian of that moment, from snapshot.debian.org
# The same packages give the same layer: what follows from the clock or from this machine goes.
set -eu
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"
if [ -n "${SNAPSHOT:-}" ]; then
  debian=http://snapshot.debian.org/archive/debian/$SNAPSHOT
  security=http://snapshot.debian.org/archive/debian-security/$SNAPSHOT
else
  debian=http://deb.debian.org/debian
  security=http://deb.debian.org/debian-security
fi
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
debootstrap --variant=minbase bookworm "$root" "$debian" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
main=$(cat "$root/etc/apt/sources.list")
cat >>"$root/etc/apt/sources.list" <<END
deb $debian bookworm-updates main
deb $security bookworm-security main
END
if ! buildah run "$container" apt-get update -qq -o APT::Update::Error-Mode=any -o Acquire::Check-Valid-Until=false \
  >/dev/null 2>&1; then
  echo "Debian's security updates cannot be reached: the base image goes without them." >&2
  echo "$main" >"$root/etc/apt/sources.list"
fi
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* \
  "$root"/var/log/*.log "$root"/var/log/apt "$root"/var/cache/ldconfig "$root"/etc/hostname "$root"/etc/resolv.conf \
  "$root"/usr/share/locale/* "$root"/usr/share/man/*
find "$root/usr/share/doc" -type f ! -name copyright -delete
buildah config --cmd bash "$container"
buildah commit -q --timestamp "$SOURCE_DATE_EPOCH" "$container" "$1" >/dev/null
