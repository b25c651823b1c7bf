#!/usr/bin/env bash
# The table of tools (tools.tsv) as functions: which are needed, which are here and recent enough, what brings one that
# is not. Sourced by ./dev; run by itself it prints every tool, its version and where it comes from (`just versions`).
# It installs nothing and changes nothing.

tools_table=${BASH_SOURCE[0]%/*}/tools.tsv

# Rows needed or wanted by COLUMN (demo, test, long; anything else: `just` alone), with that word in place of the columns.
# NAME adds the row of a command that is called by name.
tools_needed() {
  awk -F '\t' -v OFS='\t' -v column="$1" -v name="${2:-just}" '
    /^#/ { next }
    !header++ { for (i = 1; i <= NF; i++) if ($i == column) wanted = i; next }
    index("|" $1 "|", "|" name "|") || $1 == "just" { print $1, $2, $3, $4, $5, $6, "needed"; next }
    wanted && ($wanted == "needed" || $wanted == "wanted") { print $1, $2, $3, $4, $5, $6, $wanted }
  ' "$tools_table"
}

# Is version $1 at least $2? Compared number by number, not as text.
tools_at_least() {
  [[ $2 == - ]] || [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}

# Looks for a row's program. Sets tools_path and tools_version; fails when none is here. A program of that name which is
# too old or another one altogether leaves its reason in tools_doubt.
tools_find() {
  local names=$1 least=$2 marker=$3 name flag said
  tools_path='' tools_version='' tools_doubt=''
  for name in ${names//|/ }; do
    flag=--version
    [[ $name != *:* ]] || { flag=${name#*:} && name=${name%%:*}; }
    tools_path=$(command -v -- "$name") || continue
    # A fixed locale: some programs translate even their version line. Some end with an error after telling it.
    said=$(LC_ALL=C "$tools_path" "$flag" 2>&1 </dev/null) || true
    if [[ $least == untold && $said =~ ${marker} ]]; then
      tools_version=untold
      return 0
    elif [[ $said == *'snap install'* ]]; then
      tools_doubt="$tools_path is Ubuntu's, and only calls its snap"
      continue
    elif ! [[ $said =~ ${marker}[^0-9]*([0-9]+(\.[0-9]+)*) ]]; then
      tools_doubt="$tools_path is another program"
      continue
    fi
    # The groups are the marker's own (at most one), the version, its last part.
    tools_version=${BASH_REMATCH[1]}
    [[ $tools_version == [0-9]* ]] || tools_version=${BASH_REMATCH[2]}
    tools_at_least "$tools_version" "$least" && return 0
    tools_doubt="$tools_path is $tools_version"
  done
  return 1
}

# A command as a person types it who is not root.
tools_as_root() {
  local command
  printf -v command ' %q' "$@"
  command=${command# }
  if [[ $(id -u) == 0 ]]; then
    printf '%s\n' "$command"
  elif command -v sudo >/dev/null; then
    printf 'sudo %s\n' "$command"
  else
    printf 'su -c %s\n' "${command@Q}"
  fi
}

# Does the distribution have these packages? Yes, as long as there is no index to look it up.
tools_packaged() {
  local package
  [[ $(LC_ALL=C apt-cache policy 2>/dev/null) == *' Packages'* ]] || return 0
  for package; do
    [[ $(LC_ALL=C apt-cache policy -- "$package") == *'Candidate: '[!\(]* ]] || return 1
  done
}

# The command that brings a row's tool, for a person to type.
tools_remedy() {
  local debian=$4 registry=$5 nix=$6 ways=() packages
  read -r -a packages <<<"$debian"
  case $registry in
    rustup:)
      if command -v rustup >/dev/null; then
        ways+=("rustup update stable && rustup default stable")
      else
        ways+=("curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh  (or, from Debian 13 and Ubuntu 24.04 on: apt-get install rustup && rustup default stable)")
      fi ;;
    rustup:*) ways+=("rustup component add ${registry#rustup:}") ;;
    pypi:*) ways+=("pipx install ${registry#pypi:}") ;;
  esac
  if [[ $debian != - ]] && command -v apt-get >/dev/null && tools_packaged "${packages[@]}"; then
    ways+=("$(tools_as_root scripts/install-debian.sh "${packages[@]}")")
  elif [[ $registry == snap:* ]]; then
    ! command -v snap >/dev/null || ways+=("$(tools_as_root snap install "${registry#snap:}")")
    [[ $1 != *google-chrome* ]] || ways+=("Google Chrome's package, https://www.google.com/chrome")
  fi
  if [[ $nix != - ]] && command -v nix >/dev/null; then ways+=("nix shell nixpkgs#$nix"); fi
  if ((${#ways[@]} == 0)); then ways+=("your distribution's package of ${1%%|*}"); fi
  local text=${ways[0]} way
  for way in "${ways[@]:1}"; do text+="  or: $way"; done
  printf '%s\n' "$text"
}

# A missing tool by name, with the version it must have and why what is here won't do.
tools_name() {
  local least=''
  [[ $2 == - || $2 == untold ]] || least=" $2 or later"
  printf '%s%s%s\n' "${1%%|*}" "$least" "${tools_doubt:+ ($tools_doubt)}"
}

# Every tool of the table: version, least, need, path.
tools_versions() {
  local names least marker debian registry nix demo test long need
  printf '%-18s %-14s %-8s %-9s %s\n' TOOL VERSION LEAST NEEDED\ BY PATH
  while IFS=$'\t' read -r names least marker debian registry nix demo test long; do
    case $names in '#'* | command) continue ;; esac
    case $demo/$test/$long in
      needed/* | wanted/*) need='demo' ;;
      */needed/*) need='test' ;;
      */needed) need='long' ;;
      *) need='optional' ;;
    esac
    if tools_find "$names" "$least" "$marker"; then
      printf '%-18s %-14s %-8s %-9s %s\n' "${names%%|*}" "$tools_version" "$least" "$need" "$tools_path"
    else
      printf '%-18s %-14s %-8s %-9s %s\n' "${names%%|*}" - "$least" "$need" "${tools_doubt:-not here}"
    fi
  done <"$tools_table"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  tools_versions
fi
