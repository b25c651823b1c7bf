#!/usr/bin/env bash
# scripts/tests.sh: every test of the workspace, as `cargo test` runs them, but in two lanes: cargo runs one test program after
# the other, and five of them mostly wait, for components and for a clock. Those run beside the rest, and what they print comes
# when the rest has ended. Exit code: of the first lane that failed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

waiting=(app browser drill remote_write stack)
beside=()
rest=()
shopt -s nullglob
for target in {tests,crates/*/tests}/{*.rs,*/main.rs}; do
  name=$(basename -- "${target%/main.rs}" .rs)
  if [[ " ${waiting[*]} " == *" $name "* ]]; then beside+=(--test "$name"); else rest+=(--test "$name"); fi
done

# All of them in one go: two cargos would wait for each other's lock.
cargo test --locked --no-run

printed=$(mktemp)
# A shell has what it starts with & ignore Ctrl-C. Here it ends both lanes, and tests ask what it does.
(
  trap - INT
  exec cargo test --locked --no-fail-fast "${beside[@]}"
) >"$printed" 2>&1 &
lane=$!
trap 'kill "$lane" 2>/dev/null || true; rm -f -- "$printed"' EXIT
status=0
cargo test --locked --no-fail-fast --lib --bins "${rest[@]}" || status=$?
((status)) || cargo test --locked --doc || status=$?

printf 'tests: beside these ran %s:\n' "${waiting[*]}"
beside_status=0
wait "$lane" || beside_status=$?
cat -- "$printed"
((status)) || status=$beside_status
exit "$status"
