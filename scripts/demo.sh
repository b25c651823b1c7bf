#!/usr/bin/env bash
# scripts/demo.sh TOOL: the main job once TOOL is built: up, traffic, evidence, down. The stack goes down whatever happens in
# between, Ctrl-C included, but only if it was started here. Traffic that is inconclusive (3) is reported all the same. Exit code:
# 1 when a claim fails, else the first step's that failed; 130 when interrupted, by whatever signal. The last line on stdout is
# the path of the report, when there is one.
set -euo pipefail
# Every step has a process group of its own: a signal reaches it through us, once, whoever it was sent to.
set -m

tool=$1

said=$(mktemp) || { printf 'demo: no temporary file (above): let TMPDIR name a folder that can be written\n' >&2 && exit 2; }
up=''
step=''
signals=0

# shellcheck disable=SC2317,SC2329 # the traps call it
interrupted() {
  signals=$((signals + 1))
  [[ ! $step ]] || kill -s "$1" -- "-$step" 2>/dev/null || true
}
for signal in INT TERM HUP; do
  # shellcheck disable=SC2064 # this signal's name
  trap "interrupted $signal" "$signal"
done

# shellcheck disable=SC2317,SC2329 # the trap calls it
put_back() {
  # A second Ctrl-C must not leave half a stack. It comes to us, who ignore it: what is in front would get it from the terminal.
  trap '' INT TERM HUP
  if [[ $up == yes ]]; then
    "$tool" down >&2 &
    wait "$!" || printf 'demo: the stack did not go down; try: just down\n' >&2
  fi
  rm -f "$said"
}
trap put_back EXIT

# run WORDS…: the tool does that. In the background, because bash hears no signal while it waits for what is in front.
run() {
  local heard=-1 status=0 waited
  "$tool" "$@" &
  step=$!
  # One that came before we knew whom to tell.
  ((signals == 0)) || kill -s TERM -- "-$step" 2>/dev/null || true
  while ((heard != signals)); do
    heard=$signals
    waited=0
    wait "$step" || waited=$?
    # A signal ends the waiting and not the step, which we then wait for again; 127: it had ended.
    ((waited == 127)) || status=$waited
  done
  step=''
  return "$status"
}
go_on() { ((signals == 0)) || exit 130; }

# The build was the first.
begin() { printf 'demo: step %d of 5: %s\n' "$1" "$2" >&2; }

status=0
begin 2 up
run up || status=$?
# A signal may come when all is ready: then there is a stack, and it is ours.
[[ $status != 0 ]] || up='yes'
go_on
[[ $status == 0 ]] || exit "$status"

begin 3 traffic
run traffic || status=$?
go_on
[[ $status == 0 || $status == 3 ]] || exit "$status"

begin 4 evidence
judged=0
run evidence >"$said" || judged=$?
cat "$said"
go_on
[[ $status == 3 && $judged != 1 ]] || status=$judged
bundle=$(tail -n 1 "$said")

begin 5 down
up=''
down=0
run down >&2 || down=$?
go_on
[[ $status != 0 ]] || status=$down

# A run that ended early leaves no bundle, and its last line is no path.
[[ -f $bundle/report.html ]] && printf '%s\n' "$bundle/report.html"
exit "$status"
