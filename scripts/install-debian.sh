#!/usr/bin/env bash
# scripts/install-debian.sh PACKAGE…: installs Debian packages, as root, without starting what they bring and without leaving a
# systemd unit enabled that this installation enabled: the project runs its own Prometheus, and only while a stack is up.
# What was installed or enabled before is left alone. Waits while another program holds apt. Asks nothing.
# Exit codes: 0 installed, 1 installed but for those that this distribution does not have (named), 2 not (said why), 130
# interrupted (undone what it put in place).
set -euo pipefail
# `su` keeps the caller's path, and dpkg wants what only root's has.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# shellcheck source=scripts/progress.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/progress.sh"
# shellcheck source=scripts/tools.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/tools.sh"

say() { printf 'dev: %s\n' "$*" >&2; }
(($#)) || { say 'which packages?' && exit 2; }
[[ $(id -u) == 0 ]] || { say "installing packages takes root: $(tools_as_root "$0" "$@")" && exit 2; }

policy=/usr/sbin/policy-rc.d
ours='# put here by aiclipx while it installs packages; remove it if nothing is being installed'
enabled_before=''

# Every link by which a unit is enabled: system, user, and the old start scripts.
enabled() {
  find /etc/systemd -type l \( -path '*.wants/*' -o -path '*.requires/*' \) 2>/dev/null
  find /etc -maxdepth 2 -path '/etc/rc[2-5].d/S*' 2>/dev/null
}

# Whatever happens, services may start again and what this installation enabled is disabled.
put_back() {
  local link unit
  trap '' INT TERM HUP
  rm -f "$progress_log"
  if [[ -e $policy ]] && grep -qxF "$ours" "$policy"; then rm -f "$policy"; fi
  while IFS= read -r link; do
    [[ $link ]] || continue
    unit=${link##*/}
    case $link in
      /etc/systemd/*)
        [[ ! -d /run/systemd/system || $link == /etc/systemd/user/* ]] || systemctl disable --now "$unit"
        rm -f "$link" ;;
      *) update-rc.d "${unit#S[0-9][0-9]}" disable ;;
    esac >/dev/null 2>&1 || true
  done < <(comm -13 <(printf '%s\n' "$enabled_before") <(enabled | sort))
}
enabled_before=$(enabled | sort)
trap put_back EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# One that is there says already what may start; ours from a run that was killed is ours.
if [[ ! -e $policy ]]; then printf '#!/bin/sh\n%s\nexit 101\n' "$ours" >"$policy" && chmod +x "$policy"; fi

# Ubuntu restarts services after an installation, unless told to list them.
export DEBIAN_FRONTEND=noninteractive LC_ALL=C NEEDRESTART_MODE=l

# apt-get, waiting while another program holds it (apt waits by itself for only one of its locks), and after mending what an
# installation that was killed left half done.
apt() {
  local began=$SECONDS holder mended=''
  until progress apt apt-get --quiet --yes -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"; do
    case $progress_said in
      *'Could not get lock'* | *'Unable to lock'*)
        ((SECONDS - began < 600)) || { progress_report && return 1; }
        holder=$(sed -n 's/.*held by process \([0-9]* ([^)]*)\).*/\1/p' <<<"$progress_said" | head -n 1)
        say "apt is in use by ${holder:-another program}; waiting for it ($((SECONDS - began)) of 600 s)"
        sleep 5 ;;
      *'dpkg was interrupted'*)
        [[ ! $mended ]] || { progress_report && return 1; }
        mended=yes
        say 'an earlier installation was interrupted; finishing it'
        progress dpkg dpkg --configure -a || { progress_report && return 1; } ;;
      *) progress_report && return 1 ;;
    esac
  done
}

say "installing from the distribution: $*"
# An index that can't be refreshed may still do: what matters is whether the packages come.
apt update || say 'the package index could not be refreshed; trying with what is here'
known=() unknown=()
for package in "$@"; do
  if tools_packaged "$package"; then known+=("$package"); else unknown+=("$package"); fi
done
if ((${#known[@]})) && ! apt install --no-install-recommends "${known[@]}"; then
  say "apt-get could not install ${known[*]} (above). Is there a network? apt takes a proxy from http_proxy or Acquire::http::Proxy"
  exit 2
fi
((${#unknown[@]} == 0)) || { say "this distribution has no package ${unknown[*]}" && exit 1; }
