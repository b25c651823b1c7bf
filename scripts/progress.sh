#!/usr/bin/env bash
# progress NAME COMMAND…: runs a long, talkative command and shows of it, on stderr, one short line per step, and a sign of
# life when it has said nothing for 8 s. Returns the command's exit code; its last lines are then in progress_said, and
# progress_report shows them. Sourced by ./dev and the scripts it calls, whose exit removes progress_log: a Ctrl-C in the
# middle leaves it.

progress_said=''
progress_log=''

progress() {
  local name=$1 status=0
  shift
  progress_log=$(mktemp)
  { "$@" 2>&1 </dev/null; } | tee "$progress_log" | progress_lines "$name" >&2 || status=${PIPESTATUS[0]}
  progress_said="$name ended with $status; its last lines:"$'\n'$(tail -n 8 "$progress_log")
  rm -f "$progress_log"
  return "$status"
}

progress_report() { printf '  %s\n' "${progress_said//$'\n'/$'\n'  }" >&2; }

# Told as they come: what could not be fetched, how much is to be.
progress_told='^(W: Failed|Need to get |Successfully installed | +Downloading crates)'
# Of apt's, pip's, Nix's, debootstrap's and cargo's steps, which can be hundreds, one every 3 s.
progress_steps='^(Get:|Unpacking |Setting up |Collecting |Downloading |I: |building |copying | +(Compiling|Updating|Blocking) )'
# And of these one every 8 s: so much may come at once that one line says it.
progress_many='^ +(Downloaded|Adding|Locking) '

# Errors are in the last lines of what failed; with progress_rest=shown every other line comes as it is.
progress_lines() {
  local name=$1 line half='' code began=$SECONDS shown=$((SECONDS - 3)) every
  while true; do
    code=0
    IFS= read -r -t 1 line || code=$?
    line=$half$line half=''
    if ((code > 128)); then
      # What has come of a line is kept for its rest.
      half=$line every=8 line="at it for $((SECONDS - began)) s"
    elif ((code)) && [[ ! $line ]]; then
      break
    elif [[ $line =~ $progress_told ]]; then
      every=0
    elif [[ $line =~ $progress_steps ]]; then
      every=3
    elif [[ $line =~ $progress_many ]]; then
      every=8
    elif [[ ${progress_rest:-} ]]; then
      printf '%s\n' "$line"
      shown=$SECONDS
      continue
    else
      every=8 line="at it for $((SECONDS - began)) s"
    fi
    ((SECONDS - shown >= every)) || continue
    shown=$SECONDS
    printf '  %s: %.110s\n' "$name" "${line#"${line%%[! ]*}"}"
  done
}
