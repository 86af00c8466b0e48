#!/bin/sh
# onnxruntime and onnxruntime-gpu are one folder, and the last one that was installed wins: only the second one stays.
#   $1  pip    $2  the environment
set -eu
version=$("$1" --python "$2" list --format freeze | sed -n 's/^onnxruntime-gpu==//p')
"$1" --python "$2" uninstall -q -y onnxruntime
"$1" --python "$2" install -q --no-cache-dir --no-compile --disable-pip-version-check --force-reinstall --no-deps \
  "onnxruntime-gpu==$version"
