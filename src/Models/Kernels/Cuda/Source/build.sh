#!/usr/bin/env bash
# Compiles the kernels to PTX: build.sh [FOLDER]. No CUDA is needed, only clang-19. The PTX is kept beside this folder, in ../Ptx: for
# compute_80 (Ampere and newer), and for sm_90 with programmatic dependent launch.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-../Ptx}
mkdir -p "$out"
jobs=()
for source in attend product tiles decide rows; do
  for arch in 80 90; do
    ${CLANG:-clang-19} -x cuda --cuda-device-only -nocudainc -nocudalib -S -O3 --cuda-gpu-arch=sm_$arch -ffp-contract=off \
      -std=c++20 -Wall -Werror \
      "$source.cu" -o - | sed 's/[ \t]*$//' > "$out/$source.sm_$arch.ptx" &
    jobs+=($!)
  done
done
for job in "${jobs[@]}"; do
  wait "$job"
done
