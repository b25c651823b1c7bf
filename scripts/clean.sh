#!/usr/bin/env bash
# scripts/clean.sh TOOL: stops the stack, and removes its data, logs, secrets and runs; evidence stays. Nothing is built for it
# where no stack was left: a clone whose build fails can be cleaned, too.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

state=${AICLIPX_STATE:-state}
if [[ -e $state/stack.json ]]; then
  [[ -x $1 ]] || scripts/build.sh
  "$1" down
fi
# By name: what AICLIPX_STATE names may hold something else, too.
rm -rf -- "${state:?}"/{etc,data,logs,secrets,runs,attached,notifications.jsonl}
rm -f -- "$state"/{stack.json,supervisord.conf,supervisord.pid,lock,runs.lock}
rmdir -- "$state" 2>/dev/null || true
