#!/usr/bin/env bash
# scripts/demo.sh TOOL: the main job: up, traffic, evidence, down. The stack goes down whatever happens in between, Ctrl-C
# included, but only if it was started here. Exit code: the first step's that failed, else the evidence's (1: a claim fails).
# The last line on stdout is the path of the report, when there is one.
set -euo pipefail

tool=$1

said=$(mktemp)
up=''

# shellcheck disable=SC2317 # the trap calls it
put_back() {
  # A second Ctrl-C must not leave half a stack.
  trap '' INT TERM HUP
  [[ $up != yes ]] || "$tool" down >&2 || printf 'demo: the stack did not go down; try: just down\n' >&2
  rm -f "$said"
}
trap put_back EXIT
# A signal that comes while `up` says that all is ready finds its exit code in $?: then there is a stack, and it is ours.
# shellcheck disable=SC2317 # the traps call it
interrupted() { [[ $up != trying || $1 != 0 ]] || up='yes'; exit "$2"; }
trap 'interrupted "$?" 130' INT
trap 'interrupted "$?" 143' TERM
trap 'interrupted "$?" 129' HUP

up='trying'
"$tool" up
up='yes'
"$tool" traffic run

status=0
"$tool" evidence collect | tee "$said" || status=${PIPESTATUS[0]}
bundle=$(tail -n 1 "$said")

"$tool" down >&2
up=''

# A run that ended early leaves no bundle, and its last line is no path.
[[ -f $bundle/report.html ]] && printf '%s\n' "$bundle/report.html"
exit "$status"
