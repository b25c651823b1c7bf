#!/usr/bin/env bash
# scripts/nixpkgs.sh [DATE]: how long the release of nixpkgs that flake.nix names is kept up, and when the next is due. NixOS
# releases in May and in November, and keeps each up for one month beyond the next. Exit codes: 0, 1 when it is no longer kept
# up, 2 when flake.nix names none, or DATE is none.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

today=$(date --utc --date "${1:-today}" +%F) || exit 2
release=$(sed -n 's|.*"github:NixOS/nixpkgs/nixos-\([0-9]*\.[0-9]*\)".*|\1|p' flake.nix)
year=20${release%.*}
case ${release#*.} in
  05) until=$year-12-31 next=${release%.*}.11 due=$year-11-30 ;;
  11) until=$((year + 1))-06-30 next=$((${release%.*} + 1)).05 due=$((year + 1))-05-31 ;;
  *) printf 'nixpkgs: flake.nix names no release of nixpkgs\n' >&2 && exit 2 ;;
esac
move="move to nixos-$next: inputs.nixpkgs.url in flake.nix, then nix flake update, rust-version in Cargo.toml, nix flake check"
printf 'nixos-%s is kept up until %s; nixos-%s is due by %s.\n' "$release" "$until" "$next" "$due"
if [[ $today > $until ]]; then
  printf 'It is %s: no fix comes to it any more; %s.\n' "$today" "$move"
  exit 1
elif [[ $today > $due ]]; then
  printf 'It is %s: %s.\n' "$today" "$move"
fi
