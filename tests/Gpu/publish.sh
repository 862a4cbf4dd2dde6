#!/usr/bin/env bash
# Makes gpu-checks.tar.gz: the GPU checks and the product with one runtime for both, the kernels assembled for sm_90, and the stand-in
# models, for a Linux machine that has only an NVIDIA driver. publish.sh [ARCHIVE]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
archive=$(realpath -m "${1:-gpu-checks.tar.gz}")
staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
payload=$staging/payload
outer=$staging/gpu-checks
mkdir -p "$payload" "$outer"

# Both programs are self-contained with the same runtime: in one folder it is there once. The checks load the stand-in models.
for project in "$root/src/Server" "$here/Gpu.csproj"; do
  dotnet publish "$project" -c Release -r linux-x64 --self-contained -p:DebugType=none -o "$payload" -nologo -clp:ErrorsOnly
done
cp "$here/peers.py" "$payload/"
rm -rf "$payload/models"
mkdir "$payload/models"
cp -r "$root/tests/Fixtures/standin" "$payload/models/"

# What neither the checks nor `understory bench` load: what debuggers need, other collectors, and the parts of ASP.NET that render pages.
(cd "$payload" && rm -f createdump libmscordaccore.so libmscordbi.so libclrgc.so libclrgcexp.so libcoreclrtraceptprovider.so \
  Microsoft.VisualBasic*.dll Microsoft.AspNetCore.{Components,Mvc,Razor,Identity,SignalR,Antiforgery,ResponseCaching,OutputCaching}*.dll \
  ./*.xml ./*.pdb)

# Assembled kernels spare the device's time the driver's compiler; where there is no assembler the driver compiles.
if ptxas=$("$here/debian.sh" nvidia-cuda-toolkit ptxas); then
  mkdir "$payload/cubin"
  for ptx in "$root"/src/Models/Kernels/Cuda/Ptx/*.sm_90.ptx; do
    "$ptxas" -arch=sm_90 "$ptx" -o "$payload/cubin/$(sha256sum "$ptx" | cut -c1-32).sm_90.cubin"
  done
else
  echo "publish.sh: the archive holds no assembled kernels; the driver will compile them" >&2
fi

# A missing part is found here, not there.
"$payload/understory" --version > /dev/null
"$payload/Understory.Gpu" check device --emulated > /dev/null

# xz halves what gzip makes of it, but is not on every machine; a static busybox of 2 MB is the last of three ways to unpack.
cp "$here/run.sh" "$outer/"
tar -C "$payload" --sort=name --owner=0 --group=0 -cf - . | xz -9e -T0 > "$outer/payload.tar.xz"
if busybox=$("$here/debian.sh" busybox-static busybox) && { ldd "$busybox" 2>&1 || true; } | grep -q 'not a dynamic executable'; then
  cp -L "$busybox" "$outer/busybox"
else
  echo "publish.sh: without busybox in the archive, xz or python3 is needed to unpack it" >&2
fi
tar -C "$staging" --owner=0 --group=0 -czf "$archive" gpu-checks
echo "$archive: $(du -h --apparent-size "$archive" | cut -f1)"
