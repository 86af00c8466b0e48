#!/bin/sh
# Builds the service's image: by Docker where it runs, else by buildah, which needs no engine but root.
#   BASE=...    base image; default Debian's, or without a registry one made by debootstrap
#   IMAGE=...   name of the image
#   SNAPSHOT=20261130T000000Z   Debian's packages of that moment, from snapshot.debian.org, not today's
#   EXTRA=gpu   with CUDA for the worker's process, 4 GB more
#   SOURCE=...  where the sources are published, for the label
set -eu
cd "$(dirname "$0")/.."
image=${IMAGE:-thoracle}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

set -- -f docker/Dockerfile -t "$image" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
  --build-arg SOURCE_DATE_EPOCH
[ -n "${SOURCE:-}" ] && set -- "$@" --label "org.opencontainers.image.source=$SOURCE"
[ -n "${SNAPSHOT:-}" ] && set -- "$@" --build-arg "SNAPSHOT=$SNAPSHOT"
[ -n "${EXTRA:-}" ] && set -- "$@" --build-arg "EXTRA=$EXTRA"
[ -n "${PIP_INDEX_URL:-}" ] && set -- "$@" --build-arg PIP_INDEX_URL

if docker info >/dev/null 2>&1; then
  [ -n "${BASE:-}" ] && set -- "$@" --build-arg "BASE=$BASE"
  exec docker build --no-cache "$@" .  # a kept layer would keep its packages, too
fi

export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"
missing=""
for program in buildah debootstrap; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "No Docker engine runs here, and what would do without is missing. As root: apt-get install$missing"
    exit 1
  fi
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
if [ -z "${BASE:-}" ]; then
  BASE=$(sed -n 's/^ARG BASE=//p' docker/Dockerfile | sed 's/:[^:@]*@/@/')  # buildah takes no tag beside a digest
  if ! buildah pull -q "$BASE" >/dev/null 2>&1; then
    BASE=localhost/debian:bookworm
    buildah inspect --type image "$BASE" >/dev/null 2>&1 || { docker/debian-base.sh "$BASE" & base=$!; }
  fi
  # The pip inside knows nothing of this machine's indexes and certificates, so the one here fetches for it.
  python=${PYTHON:-python3}
  if [ "$("$python" -c 'import sys; print(*sys.version_info[:2])')" = "3 11" ]; then
    mkdir -p build/wheels
    for part in build sbom "${EXTRA:-service}"; do
      "$python" -m pip download -qq --disable-pip-version-check --no-deps --require-hashes -d build/wheels \
        -r "requirements/$part.txt"
    done
    set -- "$@" --volume "$PWD/build/wheels:/wheels:ro" --build-arg PIP_FIND_LINKS=/wheels --build-arg PIP_NO_INDEX=1
  fi
  [ -z "${base:-}" ] || wait "$base"
fi
exec buildah build --format docker --timestamp "$SOURCE_DATE_EPOCH" --build-arg "BASE=$BASE" "$@" .
