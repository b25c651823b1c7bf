#!/usr/bin/env bash
# scripts/loaders.sh: what promtool and amtool say of the files that Prometheus and Alertmanager load: rules, targets, routes and,
# which nobody else reads, message templates. Silent when all is well. Exit codes: theirs, or 2 when one is absent.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

ask() {
  local said status=0
  command -v "$1" >/dev/null || { printf 'loaders: %s is missing: ./dev brings it\n' "$1" >&2; exit 2; }
  said=$("$@" 2>&1) || status=$?
  ((status == 0)) || { printf '%s\n' "$said" >&2; exit "$status"; }
}
ask promtool check config monitoring/prometheus/prometheus.yml
ask amtool check-config monitoring/alertmanager/alertmanager.yml
