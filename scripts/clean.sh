#!/usr/bin/env bash
# scripts/clean.sh TOOL: `TOOL clean`, which stops the stack and removes what is ours of its state directory; evidence stays.
# Nothing is built where there is nothing to remove, and in a clone whose build fails a tool of before does it, too.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

[[ -e ${AICLIPX_STATE:-state} || ! -w . ]] || exit 0
scripts/build.sh || [[ -x $1 ]]
exec "$1" clean
