#!/bin/sh
# Builds the Debian package of the service: systemd/build-deb.sh [OUT]. On the Debian or Ubuntu that it is for: Python has to be
# the same there. Needs what `make setup` installs.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build}
pip=${PIP:-.venv/bin/pip}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$("$(dirname "$pip")/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" != "$python" ]; then
  echo "/usr/bin/python3 is $python, and $pip is another: make the environment by PYTHON=/usr/bin/python3 make setup" >&2
  exit 1
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
root=$work/root home=$work/root/opt/thoracle
umask 022

mkdir -p "$root/opt" "$root/etc/thoracle" "$root/usr/bin" "$root/DEBIAN" "$root/usr/share/doc/thoracle"
/usr/bin/python3 -m venv --without-pip "$home"
install="$pip --python $home/bin/python install -q --no-compile --disable-pip-version-check --no-deps"
"$pip" wheel -q --disable-pip-version-check --no-deps --no-build-isolation -w "$work" .
$install --require-hashes -r requirements/service.txt
$install "$work"/*.whl
# Written for where it was made: now for where it will be.
grep -lI "$root" "$home"/bin/* "$home/pyvenv.cfg" "$home"/lib/python3.*/site-packages/*.dist-info/RECORD 2>/dev/null |
  xargs -r sed -i "s#$root##g"
rm -f "$home"/lib/python3.*/site-packages/thoracle-*.dist-info/direct_url.json
find "$home" -type d -name tests -prune -exec rm -r {} +
/usr/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$root" "$home/lib" >/dev/null

ln -s /opt/thoracle/bin/thoracle "$root/usr/bin/thoracle"
install -D -m 0644 systemd/thoracle.service "$root/usr/lib/systemd/system/thoracle.service"
install -D -m 0644 systemd/thoracle.sysusers "$root/usr/lib/sysusers.d/thoracle.conf"
install -m 0644 systemd/deb/thoracle.yaml "$root/etc/thoracle/thoracle.yaml"
install -m 0644 systemd/deb/copyright docs/reference/licences.md CHANGELOG.md "$root/usr/share/doc/thoracle/"
install -m 0755 systemd/deb/postinst systemd/deb/prerm systemd/deb/postrm "$root/DEBIAN/"
echo /etc/thoracle/thoracle.yaml >"$root/DEBIAN/conffiles"
architecture=$(dpkg --print-architecture)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@PYTHON@/$python/" \
  -e "s/@PYTHON_BELOW@/3.$((${python#3.} + 1))/" -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" \
  -e "s/@MAINTAINER@/${MAINTAINER:-unknown <root@localhost>}/" systemd/deb/control >"$root/DEBIAN/control"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
mkdir -p "$out"
dpkg-deb --root-owner-group -Zgzip -z6 --build "$root" "$out/thoracle_${version}_$architecture.deb"
