#!/usr/bin/env bash
# What goes into the image, laid out under DIR: the program in DIR/app, read-only, and the empty mount points that it looks for.
# The Dockerfile and the tests run this same script: build-image.sh DIR
set -euo pipefail

root=${1:?usage: build-image.sh DIR}
mkdir -p "$root"
root=$(cd "$root" && pwd)
cd "$(dirname "$0")/.."

if [ -n "$(ls -A "$root")" ]; then
  echo "$root is not empty." >&2
  exit 1
fi

# Portable: the base image has the runtime, and the kernels pick what the machine offers when they start. Nothing of CUDA is needed but the
# driver, which the container runtime brings.
dotnet publish src/Server -c Release -o "$root/app" -nologo -clp:ErrorsOnly
mkdir -p "$root/models"
chmod -R u=rwX,go=rX "$root"
chmod -R a-w "$root/app"
