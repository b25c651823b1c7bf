#!/usr/bin/env bash
# scripts/loaders.sh: what promtool and amtool say of the files that Prometheus and Alertmanager load: rules and their unit tests,
# targets, routes and, which nobody else reads, message templates. A rule may mean something else to another release: the rules
# are tested by the promtool on PATH and by that of every folder in AICLIPX_PROMTOOL (DIR:DIR…), and each is named; unless
# RULE_TESTS=ran says that crates/tool/tests/monitoring.rs did just that. Exit codes: theirs, or 2 when one is absent.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

stop() { printf 'loaders: %s\n' "$*" >&2 && exit 2; }
ask() {
  local said status=0
  command -v "$1" >/dev/null || stop "$1 is missing: ./dev brings it"
  said=$("$@" 2>&1) || status=$?
  ((status == 0)) || { printf '%s\n' "$said" >&2; exit "$status"; }
}
cluster=deploy/kubernetes/base/prometheus/prometheus.yml
ask amtool check-config monitoring/alertmanager/alertmanager.yml

IFS=: read -r -a folders <<<"${AICLIPX_PROMTOOL:-}"
for folder in '' "${folders[@]}"; do
  promtool=${folder:+$folder/}promtool
  [[ ! $folder || -x $promtool ]] || stop "AICLIPX_PROMTOOL names $folder, and there is no promtool in it"
  ask "$promtool" check config monitoring/prometheus/prometheus.yml
  # Debian builds Prometheus without the discovery of pods.
  if said=$("$promtool" check config "$cluster" 2>&1); then
    :
  elif [[ $said == *'field kubernetes_sd_configs not found'* ]]; then
    printf 'loaders: NOT RUN: %s on %s, for it was built without the discovery of pods\n' "$promtool" "$cluster" >&2
  else
    printf '%s\n' "$said" >&2 && exit 1
  fi
  [[ ${RULE_TESTS:-} != ran ]] || continue
  printf 'loaders: %s: the unit tests of the rules, some half a minute\n' "$promtool" >&2
  # A file each, side by side: promtool takes them one after the other.
  export promtool
  # shellcheck disable=SC2016 # the inner shell's own words
  printf '%s\0' monitoring/prometheus/rules/tests/*.yml |
    xargs -0 -n 1 -P "$(nproc)" bash -c 'said=$("$promtool" test rules "$1" 2>&1) || { printf "%s\n" "$said" >&2; exit 1; }' _ || exit 1
  # Some releases tell their version on stderr.
  version=$("$promtool" --version 2>&1)
  printf 'loaders: promtool %s: the rules load, and pass their unit tests\n' "$(awk 'NR == 1 { print $3 }' <<<"$version")"
done
