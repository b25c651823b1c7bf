#!/usr/bin/env bash
# scripts/build.sh: builds the programs. On a terminal cargo shows with its own bar how far it is; elsewhere its line for every
# crate, hundreds on a new machine, is one every few seconds. What the compiler has to say comes whole.
set -euo pipefail

[[ ! -t 2 ]] || exec cargo build --locked

# shellcheck source=scripts/progress.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/progress.sh"
trap 'rm -f "$progress_log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC2034 # progress_lines reads it
progress_rest='shown'
progress cargo cargo build --locked
