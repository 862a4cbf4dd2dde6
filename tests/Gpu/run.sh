#!/usr/bin/env bash
# On a Linux machine with an NVIDIA driver (no .NET, no internet): the GPU checks, in stages with time limits.
#   tar -xzf gpu-checks.tar.gz && gpu-checks/run.sh first|second [FOLDER] [--emulated]
# first: at most 240 s: the device, every kernel, pass times, models, the pair with the oracle. second: longer figures, at most 240 s, and
# what PyTorch needs beside them, at most 180 s, where it is installed. FOLDER (gpu-results) takes results.jsonl, summary.txt, log.txt and
# peers.json.
# Exit code 0: every check held; 1: one did not; 2: wrong use; 3: no usable GPU.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
stages=${1:-}
shift
out=gpu-results
emulated=
for word in "$@"; do
  if [ "$word" = --emulated ]; then emulated=$word; else out=$word; fi
done
if [ "$stages" != first ] && [ "$stages" != second ]; then
  sed -n '2,7s/^# //p' "$0" >&2
  exit 2
fi
out=$(realpath -m "$out")

if [ -z "$emulated" ]; then
  [ -e /usr/local/nvidia/lib64/libcuda.so.1 ] && export LD_LIBRARY_PATH="/usr/local/nvidia/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  if ! ldconfig -p 2> /dev/null | grep -q 'libcuda\.so\.1' &&
    [ ! -e /usr/local/nvidia/lib64/libcuda.so.1 ] && [ ! -e /usr/lib/x86_64-linux-gnu/libcuda.so.1 ]; then
    echo "no usable GPU: there is no NVIDIA driver (libcuda.so.1 was not found)" >&2
    exit 3
  fi
fi

# Unpacks once, with whatever knows xz.
bin=$here/bin
if [ ! -e "$bin/complete" ]; then
  mkdir -p "$bin"
  archive=$here/payload.tar.xz
  if command -v xz > /dev/null; then
    xz -dc "$archive" | tar -C "$bin" -xf -
  elif python3 -c "import lzma" 2> /dev/null; then
    python3 -c "import sys, tarfile; tarfile.open(sys.argv[1], 'r:xz').extractall(sys.argv[2])" "$archive" "$bin"
  elif [ -x "$here/busybox" ]; then
    "$here/busybox" xz -dc "$archive" | tar -C "$bin" -xf -
  else
    echo "neither xz nor python3 nor $here/busybox is here to unpack $archive" >&2
    exit 2
  fi && touch "$bin/complete" || exit 2
fi

mkdir -p "$out"
if [ -z "$emulated" ] && command -v nvidia-smi > /dev/null; then
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,memory.total --format=csv,noheader
fi
export DOTNET_EnableDiagnostics=0
"$bin/Understory.Gpu" "$stages" "$out" $emulated
code=$?

# Beside them what PyTorch needs, where it is installed and sees the device.
if [ "$stages" = second ] && [ "$code" -le 1 ]; then
  if [ -n "$emulated" ]; then
    echo "peers: skipped on an emulated device"
  elif python3 -c "import torch; assert torch.cuda.is_available()" 2> /dev/null; then
    timeout -k 5 180 python3 "$bin/peers.py" "$out" || echo "peers.py failed" >&2
  else
    echo "peers: skipped, python3 with torch and CUDA is not here"
  fi
fi
exit "$code"
