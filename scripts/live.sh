#!/usr/bin/env bash
# scripts/live.sh TOOL: one experiment for real, on a private stack, and its bundle verified from another folder. What fails
# is kept, and said where; what holds is removed.
set -euo pipefail

tool=$1
folder=$(mktemp -d "${TMPDIR:-/tmp}/live experiment.XXXXXX")
said=$(mktemp)
trap 'rm -f "$said"' EXIT

status=0
"$tool" prove --only request-rate --out "$folder" | tee "$said" || status=${PIPESTATUS[0]}
bundle=$(tail -n 1 "$said")
if ((status == 0)); then (cd / && "$tool" verify "$bundle") || status=$?; fi

if ((status)); then
  printf 'live: ended with %d; what it left is in %s\n' "$status" "$folder" >&2
else
  rm -rf -- "$folder"
fi
exit "$status"
