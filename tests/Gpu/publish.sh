#!/usr/bin/env bash
# Makes gpu-checks.tar.gz: the GPU checks and the product with the runtime and the demo models, for a Linux machine that has only an NVIDIA driver.
# publish.sh [ARCHIVE] [PROMPTS.jsonl]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
archive=$(realpath -m "${1:-gpu-checks.tar.gz}")
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
dotnet publish "$here/Gpu.csproj" -c Release -r linux-x64 --self-contained -p:DebugType=none -o "$staging/gpu-checks/bin" -nologo -clp:ErrorsOnly
dotnet publish "$root/src/Server" -c Release -r linux-x64 --self-contained -p:DebugType=none -o "$staging/gpu-checks/server" -nologo -clp:ErrorsOnly
mkdir -p "$staging/gpu-checks/models"
cp "$here/peers.py" "$staging/gpu-checks/"
cp -r "$root/models/demo" "$staging/gpu-checks/models/"
cp -r "$root/src/Models/Kernels/Cuda/Ptx" "$staging/gpu-checks/ptx"
if [ -n "${2:-}" ]; then
  cp "$2" "$staging/gpu-checks/prompts.jsonl"
fi
tar -C "$staging" -czf "$archive" gpu-checks
echo "$archive: $(du -h "$archive" | cut -f1)"
