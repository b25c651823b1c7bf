#!/usr/bin/env bash
# scripts/original.sh TOOL NUMBER [ARGUMENT]: the original's traffic scripts (01 … 06), by their variables and arguments. Makes a
# scenario of them and runs it: against BASE_URL where that is set, else against the stack that is up (whose evidence then holds
# it), else against the original's http://localhost:8080. Plain numbers are seconds of real time, as they were.
#
# What was random there is drawn by the seed here, what was a sleep is a rate, and what was broken JSON is `x-fault`: the
# service answers that with 400 now. A burst's size, random there, goes evenly through BURST_MIN … BURST_MAX.
set -euo pipefail

tool=$1 number=$2 argument=${3:-}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
place=$(mktemp -d)
trap 'rm -rf -- "$place"' EXIT

usage() { printf '%s: %s\n' "scripts/${number}_…" "$*" >&2 && exit 2; }

# whole NAME DEFAULT: a variable of the original's, checked, with its default. Numbers of seconds, of requests, of percent.
whole() {
  local value=${!1:-$2}
  [[ $value =~ ^[0-9]{1,6}$ ]] || usage "$1=$value: it takes a whole number"
  printf -v "$1" '%d' "$((10#$value))"
}
decimal() {
  local value=${!1:-$2}
  [[ $value =~ ^[0-9]{1,6}(\.[0-9]{1,3})?$ ]] || usage "$1=$value: it takes a number with three decimals at most"
  printf -v "$1" '%s' "$value"
}
percent() {
  whole "$1" "$2"
  ((${!1} <= 100)) || usage "$1=${!1}: it takes 0 to 100"
}

# Requests a second of somebody who sleeps between MIN and MAX seconds.
rate_of_sleeps() { LC_ALL=C awk -v min="$1" -v max="$2" 'BEGIN { mean = (min + max) / 2; printf("%.3f\n", (mean > 0.001 ? 1 / mean : 1000)) }'; }

get() { printf '{ weight = %d, path = "%s" }' "$1" "$2"; }
post() { printf '{ weight = %d, method = "POST", path = "/items", body = '"'"'{"name":"item-{seq}"}'"'"' }' "$1"; }
mix() { printf 'requests = [%s, %s, %s]\n' "$(get "$1" /)" "$(get "$2" /items)" "$(post "$3")"; }

# phase NAME SECONDS LINE…: durations are shares of the run's length, which --duration gives.
total=0
phase() {
  local name=$1 seconds=$2 line
  shift 2
  printf '\n[[phase]]\nname = "%s"\nduration = "%ds"\n' "$name" "$seconds"
  for line in "$@"; do printf '%s\n' "$line"; done
}
# phases FILE: their seconds together.
seconds_of() { awk -F'"' '/^duration = /{ sum += $2 } END { print sum + 0 }' "$1"; }

failing() { (($1 == 0)) || printf 'faults = [{ fault = "error", count = %d, per = 100 }]\n' "$1"; }

# What TARGET_EPS asked of one caller: nothing but faults, so many a second.
exceptions() { phase exceptions "$1" "$(mix 6 3 1)" "rate = $2" 'faults = [{ fault = "error", count = 1, per = 1 }]'; }

# bursts LENGTH EVERY MIN MAX RATE REQUESTS: calm traffic, and every so often so many at once.
bursts() {
  local left=$1 every=$2 min=$3 max=$4 rate=$5 requests=$6 index calm size
  ((every > 0 && min >= 2 && max >= min)) || usage "bursts come every second or more, of 2 requests or more, BURST_MIN at most BURST_MAX"
  for ((index = 0; left > 0; index++, left -= calm + 1)); do
    calm=$((left < every ? left - 1 : every - 1))
    ((calm == 0)) || phase "calm-$index" "$calm" "$requests" "rate = $rate"
    # Seven and eleven have no common factor: eleven bursts take eleven sizes.
    size=$((min + (max - min) * (index * 7 % 11) / 10))
    phase "burst-$index" 1 "$requests" "count = $size" 'arrival = "bursts"' "burst = $size"
  done
}

file=$place/90-original-$number.toml
make() {
  local title=$1
  shift
  "$@" >"$place/phases"
  total=$(seconds_of "$place/phases")
  # Whoever runs these by hand looks for himself what fires.
  local alerts
  alerts=$(sed -n 's/^ *- alert: \([A-Za-z0-9]*\)$/"\1"/p' "$root"/monitoring/prometheus/rules/*.yml | grep -v '"Watchdog"' | sort -u | paste -sd, -)
  { printf 'title = "%s"\n' "$title" && cat "$place/phases" && printf '\n[expect]\nmay_fire = [%s]\n' "$alerts"; } >"$file"
}

steady() { phase steady "$1" "$(mix 60 25 15)" "rate = $(rate_of_sleeps 0.05 0.3)" 'arrival = "poisson"'; }
errors() { phase errors "$1" "$(mix 50 35 15)" "rate = $(rate_of_sleeps 0.05 "$3")" "$(failing "$2")"; }
spikes() { bursts "$1" 12 "$2" "$3" "$(rate_of_sleeps 0.05 0.25)" "$(mix 55 35 10)"; }

everything() {
  steady "$BASELINE_DURATION"
  errors "$FIVEXX_DURATION" "$FIVEXX_ERROR_PCT" 0.25
  spikes "$LATENCY_DURATION" "$LATENCY_BURST_MIN" "$LATENCY_BURST_MAX"
  exceptions "$EXCEPTION_DURATION" "$EXCEPTION_TARGET_EPS"
  phase drop "$DROP_WINDOW" 'silent = true'
}

whole DURATION 300
case $number in
  01) make "Steady traffic, as 01_request_rate.sh sent it" steady "$DURATION" ;;
  02)
    percent ERROR_PCT 10
    make "Errors among the traffic, as 02_5xx_error_rate.sh sent them" errors "$DURATION" "$ERROR_PCT" 0.3 ;;
  03)
    whole BURST_MIN 20 && whole BURST_MAX 60
    make "Bursts, as 03_latency_p95.sh sent them" spikes "$DURATION" "$BURST_MIN" "$BURST_MAX" ;;
  04)
    whole BURST_EVERY 12 && whole BURST_MIN 30 && whole BURST_MAX 80 && decimal SLEEP_MIN 0.05 && decimal SLEEP_MAX 0.2
    endpoint=${argument:-${ENDPOINT:-/}}
    requests="requests = [$(get 1 "$endpoint")]"
    [[ $endpoint != /items ]] || requests="requests = [$(get 4 /items), $(post 1)]"
    make "One endpoint with bursts, as 04_top_endpoints.sh sent them" \
      bursts "$DURATION" "$BURST_EVERY" "$BURST_MIN" "$BURST_MAX" "$(rate_of_sleeps "$SLEEP_MIN" "$SLEEP_MAX")" "$requests" ;;
  05)
    decimal TARGET_EPS 5
    make "Faults at a rate, as 05_exceptions_rate.sh sent them" exceptions "$DURATION" "$TARGET_EPS" ;;
  06)
    whole BASELINE_DURATION 60 && whole FIVEXX_DURATION 120 && percent FIVEXX_ERROR_PCT 25 && whole LATENCY_DURATION 120
    whole LATENCY_BURST_MIN 15 && whole LATENCY_BURST_MAX 40 && whole EXCEPTION_DURATION 120
    decimal EXCEPTION_TARGET_EPS 8 && whole DROP_WINDOW 360
    case ${argument:-all} in
      baseline) make "The runner's baseline" steady "$BASELINE_DURATION" ;;
      5xx) make "The runner's errors" errors "$FIVEXX_DURATION" "$FIVEXX_ERROR_PCT" 0.25 ;;
      latency) make "The runner's bursts" spikes "$LATENCY_DURATION" "$LATENCY_BURST_MIN" "$LATENCY_BURST_MAX" ;;
      exceptions) make "The runner's exceptions" exceptions "$EXCEPTION_DURATION" "$EXCEPTION_TARGET_EPS" ;;
      drop) make "The runner's traffic loss" phase drop "$DROP_WINDOW" 'silent = true' ;;
      all) make "The runner's five scenarios, one after the other" everything ;;
      *) usage "$argument: it takes all, baseline, 5xx, latency, exceptions or drop" ;;
    esac ;;
  *) usage "there are 01 to 06" ;;
esac
((total > 0)) || usage "a run lasts longer than nothing"

to=()
if [[ ${BASE_URL:-} ]]; then
  to=(--base-url "$BASE_URL")
elif ! "$tool" status >/dev/null 2>&1; then
  to=(--base-url http://localhost:8080)
fi
"$tool" traffic "$file" --duration "${total}s" "${to[@]}"
