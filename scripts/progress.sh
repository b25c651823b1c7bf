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

# Keeps of apt's, pip's, Nix's and debootstrap's output what tells a person how far it is: what could not be fetched, and of the
# steps, which can be hundreds, one every 3 s. Errors are in the last lines of what failed.
progress_lines() {
  local name=$1 line code began=$SECONDS shown=-3
  while true; do
    code=0
    IFS= read -r -t 8 line || code=$?
    if ((code > 128)); then
      printf '  %s: at it for %d s\n' "$name" "$((SECONDS - began))"
      continue
    elif ((code)); then
      break
    fi
    case $line in
      'W: Failed'* | 'Need to get '* | 'Successfully installed '*)
        printf '  %s: %.110s\n' "$name" "$line" ;;
      Get:* | 'Unpacking '* | 'Setting up '* | 'Collecting '* | 'Downloading '* | 'I: '* | 'building '* | 'copying '*)
        ((SECONDS - shown < 3)) && continue
        shown=$SECONDS
        printf '  %s: %.110s\n' "$name" "$line" ;;
    esac
  done
}
