#!/usr/bin/env bash
# scripts/with-postgres.sh TOOL COMMAND [OPTION…]: the tool, and with --database a service that can keep its items in PostgreSQL. It
# is built in a folder of its own: every later command builds the service without, and would take it from under a running stack.
set -euo pipefail

for word in "$@"; do
  [[ $word == --database && -z ${AICLIPX_APP-} ]] || continue
  folder=${CARGO_TARGET_DIR:-target}/postgres
  cargo build --locked --package aiclipx-app --features postgres --target-dir "$folder" >&2
  AICLIPX_APP=$(realpath -- "$folder/debug/aiclipx-app")
  export AICLIPX_APP
done
exec "$@"
