#!/bin/sh
# Debian has Python's venv in a package of its own: installed by apt as root, else named.
set -eu
python=${PYTHON:-python3}
"$python" -c 'import ensurepip, venv' 2>/dev/null && exit 0
package=$(basename "$python")-venv
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Python's venv is missing. As root: apt-get install $package"
  exit 1
fi
echo "Installing $package ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$package" >/dev/null
