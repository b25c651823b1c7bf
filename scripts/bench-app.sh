#!/usr/bin/env bash
# scripts/bench-app.sh: the service beside bare hyper, bare warp and a Flask peer, in one run (benches/app.rs, which counts
# instructions where valgrind is). The Flask peer's Python packages come from PyPI into .tools/flask, once; where they can't be
# had, its row says so. The table comes row by row, over some eight minutes.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# shellcheck source=scripts/progress.sh
. scripts/progress.sh
trap 'rm -f "$progress_log"' EXIT

flask=$PWD/.tools/flask
if [[ ! $flask/made -nt benches/flask/requirements.txt ]]; then
  if { [[ -x $flask/bin/python ]] || progress python python3 -m venv --clear "$flask"; } &&
    progress pip "$flask/bin/python" -m pip install --no-input --disable-pip-version-check --only-binary :all: -r benches/flask/requirements.txt; then
    : >"$flask/made"
  else
    progress_report
  fi
fi
if [[ -e $flask/made ]]; then export AICLIPX_BENCH_FLASK=$flask; fi

# Built first, on all processors: the program then keeps to one.
cargo bench --locked --package aiclipx-app --bench app --no-run
exec cargo bench --quiet --locked --package aiclipx-app --bench app
