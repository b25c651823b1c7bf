#!/usr/bin/env bash
# scripts/example.sh NAME [OPTION…]: brings what the service of examples/NAME needs, and proves that tree; options go to
# `prove`. What it brings lies in .tools/examples. Exit codes are prove's; where the example's README.md has a table of claims that
# fail, those must fail, else 3 and which did not.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
tool=${CARGO_TARGET_DIR:-$root/target}/debug/aiclipx name=${1:-}
say() { printf 'example: %s\n' "$*" >&2; }
examples=$(cd "$root/examples" && printf '%s ' */)
if [[ -z $name || ! -f $root/examples/$name/monitoring/service.toml ]]; then
  say "there is no example \`$name\`; there are ${examples//\//}"
  exit 2
fi
shift
place=$root/.tools/examples/$name

bring_flask() {
  command -v python3 >/dev/null || { say 'there is no python3 here (Debian: apt-get install python3 python3-venv)' && exit 2; }
  # The distribution's own do as well: python3-flask, python3-prometheus-client.
  if ! python3 -c 'import flask, prometheus_client' 2>/dev/null; then
    local wanted=$root/examples/flask/requirements.txt
    if ! cmp -s "$wanted" "$place/made-of"; then
      say 'bringing Flask and prometheus_client from PyPI into .tools/examples/flask'
      if ! { python3 -m venv --clear "$place" &&
        "$place/bin/python" -m pip install --quiet --no-input --disable-pip-version-check -r "$wanted"; } >&2; then
        say 'PyPI did not give them (above). Is there a network, and python3-venv? Or: apt-get install python3-flask python3-prometheus-client'
        exit 2
      fi
      cp "$wanted" "$place/made-of"
    fi
    export PATH=$place/bin:$PATH
  fi
}

bring_caddy() {
  # Its metrics are named otherwise from 2.9 on: Debian's 2.6 is what this tree is about.
  if [[ $(caddy version 2>/dev/null) != *2.6.* ]]; then
    if [[ ! -x $place/usr/bin/caddy ]]; then
      say "bringing Debian's package caddy into .tools/examples/caddy, unpacked and not installed"
      mkdir -p "$place"
      if ! (cd "$place" && apt-get download caddy >&2 && dpkg -x caddy_*.deb . && rm -f caddy_*.deb); then
        say 'apt-get download gave no caddy (above): on Debian, after apt-get update, it does; elsewhere put a caddy 2.6 on PATH'
        exit 2
      fi
    fi
    export PATH=$place/usr/bin:$PATH
  fi
}

case $name in
  flask) bring_flask ;;
  caddy) bring_caddy ;;
esac
mkdir -p "$root/.tools/examples"
cd "$root/examples/$name"
rc=0
AICLIPX_HOME=$PWD "$tool" prove --out "$root/evidence/runs" "$@" | tee "$place.out" || rc=$?
bundle=$(tail -n 1 "$place.out")
# shellcheck disable=SC2016 # backticks of Markdown
mapfile -t told < <(sed -n 's/^| `\([^`]*\)` | always.*/\1/p' README.md)
if ((${#told[@]} && rc == 1)); then
  lacking=()
  for claim in "${told[@]}"; do
    python3 - "$bundle/verdicts.json" "$claim" <<'PY' || lacking+=("$claim")
import json, sys
judged = json.load(open(sys.argv[1]))
sys.exit(0 if any(one["id"].endswith("/" + sys.argv[2]) and one["verdict"] == "fails" for one in judged) else 1)
PY
  done
  if ((${#lacking[@]})); then
    say "examples/$name/README.md says that these fail, and they do not: ${lacking[*]}"
    exit 3
  fi
  say "the ${#told[@]} claims that examples/$name/README.md names fail; it says why"
fi
exit "$rc"
