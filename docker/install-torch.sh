#!/bin/sh
# Installs PyTorch for tests and training: docker/install-torch.sh PIP INSTALL OPTIONS ... Without CUDA where what pip asks
# has that build, else PyPI's, whose CUDA is 3 GB more. A wrong hash, a network that fails or a full disk is an error.
#   TORCH=cuda   PyPI's build at once
set -eu
cd "$(dirname "$0")/.."
if [ "${TORCH:-cpu}" = cpu ]; then
  told=$(mktemp)
  trap 'rm "$told"' EXIT
  if "$@" -r requirements/torch-cpu.txt 2>"$told"; then
    cat "$told" >&2
    echo "PyTorch: the build without CUDA"
    exit 0
  fi
  cat "$told" >&2
  # Where an index does not answer, pip says the same, after it has tried again.
  if ! grep -q 'No matching distribution found for torch==' "$told" || grep -Eq 'from versions: none|Retrying \(' "$told"; then
    echo "PyTorch is not installed: see above. TORCH=cuda takes PyPI's build, with CUDA." >&2
    exit 1
  fi
fi
echo "PyTorch: PyPI's build, with CUDA (3 GB more)"
"$@" -r requirements/torch-cuda.txt
