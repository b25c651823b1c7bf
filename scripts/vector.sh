#!/usr/bin/env bash
# scripts/vector.sh [required]: Vector's own word on monitoring/vector: that the configuration is one, and its unit tests. Where
# Vector is not on PATH it says NOT RUN and passes, unless it is required. Exit codes: Vector's, or 2 when it is required and absent.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'vector: %s\n' "$*" >&2; }
# A name proves nothing.
if ! said=$(vector --version 2>/dev/null) || [[ $said != 'vector 0.'* ]]; then
  say 'NOT RUN: monitoring/vector, for Vector is not on PATH; nix develop has it'
  [[ ${1:-} != required ]] || exit 2
  exit 0
fi
# With its environment, or templates of labels that 0.57 and later refuse are not looked at; but with a data folder that is there,
# and without asking whether Loki answers.
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
sed "s|^data_dir: .*|data_dir: $folder|" monitoring/vector/vector.yaml >"$folder/vector.yaml"
vector validate --skip-healthchecks --deny-warnings "$folder/vector.yaml"
vector test monitoring/vector/vector.yaml monitoring/vector/vector-tests.yaml
