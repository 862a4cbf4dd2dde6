#!/usr/bin/env bash
# Draws the key that compose.yaml gives to servers and Prometheus, unless there is one. Containers read the file as users of their own, so
# the file is readable and its folder is not.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
[ -s secrets/api-key ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > secrets/api-key
chmod 644 secrets/api-key
echo "docker/secrets/api-key: $(cat secrets/api-key)"
