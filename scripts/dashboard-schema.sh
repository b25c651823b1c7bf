#!/usr/bin/env bash
# scripts/dashboard-schema.sh [FILE…]: the dashboards against Grafana's own schema, as its foundation SDK has it, which Grafana
# makes of its sources. What the SDK does not know, or holds for another type, is told with file and place. Takes Python and,
# the first time, PyPI. Exit codes: 0 nothing found, 1 something, 2 the SDK can't be had: then nothing was held against it.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
sdk='grafana-foundation-sdk==1769699379!11.6.0'
place=$root/.tools/schema

say() { printf 'dashboard-schema: %s\n' "$*" >&2; }
command -v python3 >/dev/null || { say 'NOT RUN: there is no python3 here (Debian: python3 python3-venv)' && exit 2; }
if [[ $(cat "$place/made-of" 2>/dev/null) != "$sdk" ]]; then
  say "bringing $sdk from PyPI into .tools/schema"
  if ! { python3 -m venv --clear "$place" &&
    "$place/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --only-binary :all: "$sdk"; } >&2; then
    say "NOT RUN: PyPI did not give $sdk (above). Is there a network, and python3-venv?"
    exit 2
  fi
  printf '%s\n' "$sdk" >"$place/made-of"
fi
(($#)) || set -- "$root"/monitoring/grafana/dashboards/*.json
exec "$place/bin/python" "$root/scripts/dashboard-schema.py" "$@"
