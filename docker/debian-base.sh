#!/bin/sh
# A Debian base image by debootstrap, for where no registry can be reached: debian-base.sh NAME. Needs root and buildah.
set -eu
container=$(buildah from scratch)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
main=$(cat "$root/etc/apt/sources.list")
cat >>"$root/etc/apt/sources.list" <<'END'
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
END
if ! buildah run "$container" apt-get update -qq -o APT::Update::Error-Mode=any >/dev/null 2>&1; then
  echo "Debian's security updates cannot be reached: the base image goes without them." >&2
  echo "$main" >"$root/etc/apt/sources.list"
fi
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* \
  "$root"/var/log/*.log "$root"/usr/share/locale/* "$root"/usr/share/man/*
find "$root/usr/share/doc" -type f ! -name copyright -delete
buildah config --cmd bash "$container"
buildah commit -q "$container" "$1" >/dev/null
