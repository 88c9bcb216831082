#!/usr/bin/env bash
# Makes the secrets that compose.yaml names, in the folder `secrets` here; keeps those there are.
# With `--self-signed NAME` also a certificate for a first try; put in a real one later.
set -euo pipefail
cd "$(dirname "$0")"

# The folder is closed to others. The files in it are not: each container sees its own few,
# under a user that is not the one who made them.
mkdir -p secrets
chmod 700 secrets
for name in postgres_password redis_password triolet_secret metrics_token; do
  if [ ! -e "secrets/$name" ]; then
    head -c 36 /dev/urandom | base64 | tr '+/' '-_' >"secrets/.$name"
    chmod 444 "secrets/.$name"
    mv "secrets/.$name" "secrets/$name"
  fi
done
if [ "${1:-}" = --self-signed ] && [ ! -e secrets/tls_key ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 \
    -subj "/CN=$2" -addext "subjectAltName=DNS:$2" \
    -keyout secrets/tls_key -out secrets/tls_certificate 2>/dev/null
  chmod 444 secrets/tls_key secrets/tls_certificate
fi
