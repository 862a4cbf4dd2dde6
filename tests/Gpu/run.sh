#!/usr/bin/env bash
# On a Linux machine with an NVIDIA driver (no .NET, no internet): unpacks what publish.sh made, runs the GPU checks and bench, and beside them PyTorch
# where it is installed, and writes one JSON.
# run.sh [ARCHIVE] [OUT.json] [quick] [no-graphs] [no-overlap]. Exit code 0: every check held; 1: one did not; 3: no usable GPU.
set -uo pipefail
archive=${1:-gpu-checks.tar.gz}
out=$(realpath -m "${2:-gpu.json}")
if ! ldconfig -p 2> /dev/null | grep -q 'libcuda\.so\.1' && [ ! -e /usr/local/nvidia/lib64/libcuda.so.1 ] && [ ! -e /usr/lib/x86_64-linux-gnu/libcuda.so.1 ]; then
  echo "no NVIDIA driver: libcuda.so.1 was not found" >&2
  exit 3
fi
[ -e /usr/local/nvidia/lib64/libcuda.so.1 ] && export LD_LIBRARY_PATH="/usr/local/nvidia/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if [ ! -e "$archive" ]; then
  echo "$archive is not there; tests/Gpu/publish.sh makes it" >&2
  exit 2
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar -C "$folder" -xzf "$archive"
cd "$folder/gpu-checks"

# Where there is an assembler, what it makes of the PTX: registers, spills, shared memory.
if command -v ptxas > /dev/null; then
  for ptx in ptx/*.ptx; do
    target=$(sed -nE 's/^\.target (sm_[0-9]+).*/\1/p' "$ptx")
    ptxas -v -arch="$target" "$ptx" -o /dev/null > "$folder/ptxas.log" 2>&1 && status=assembles || status=FAILS
    echo "$ptx $status; spills: $(grep -cE '[1-9][0-9]* bytes spill' "$folder/ptxas.log"); most registers: $(grep -oE 'Used [0-9]+ registers' "$folder/ptxas.log" | grep -oE '[0-9]+' | sort -n | tail -1)"
    grep -iE 'error|fatal' "$folder/ptxas.log" | head -5
  done
fi
command -v nvidia-smi > /dev/null && nvidia-smi --query-gpu=name,driver_version,clocks.sm,memory.total --format=csv,noheader
DOTNET_EnableDiagnostics=0 ./bin/Understory.Gpu "$out" models/demo prompts.jsonl "${@:3}"
code=$?

# Beside them what PyTorch needs, where it is installed and sees the device.
if [ "$code" -le 1 ] && python3 -c "import torch; assert torch.cuda.is_available()" 2> /dev/null; then
  python3 peers.py "$out" || echo "peers.py failed" >&2
else
  echo "python3 with torch and CUDA is not here: no peers were measured"
fi
exit "$code"
