#!/usr/bin/env bash
# scripts/nix-files.sh: what can be said of the Nix files where nixpkgs can't be had: each parses, the pure ones evaluate, none
# has a tab, trailing space, or an over-long line, and flake.nix and flake.lock name the same one input, which Nix accepts without
# touching the lock. Formatting, statix and deadnix proper are checks of the flake. Exit codes: 0, 1, or 2 where there is no Nix.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

for tool in nix nix-instantiate; do
  command -v "$tool" >/dev/null || { printf 'nix-files: %s is missing: ./dev brings it\n' "$tool" >&2; exit 2; }
done
# A Nix without its daemon's group says so at every call.
export NIX_CONFIG=${NIX_CONFIG-build-users-group =}
problems=0
bad() { printf 'nix-files: %s\n' "$*" >&2 && problems=1; }

for file in flake.nix nix/*.nix; do
  nix-instantiate --parse "$file" >/dev/null || bad "$file does not parse"
done
# nixfmt fills 100 columns, and breaks no comment.
found=$(
  grep -nE $'\t| $|^.{129}' flake.nix nix/*.nix
  grep -nE '^.{101}' flake.nix nix/*.nix | grep -vE '^[^:]+:[0-9]+: *#'
) || true
[[ ! $found ]] || bad "tabs, trailing space, comments over 128 or code over 100 columns:"$'\n'"$found"
if command -v nixfmt >/dev/null; then nixfmt --check flake.nix nix/*.nix || bad "nixfmt would change these: nix fmt"; fi

nix-instantiate --eval --strict --expr 'import ./nix/image-config.nix { version = "1"; revision = "r"; }' >/dev/null || bad "nix/image-config.nix does not evaluate"

# A copy without .git: Nix takes from a work tree only what git knows, and this is about two files.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -r flake.nix flake.lock nix "$folder/"
nix --extra-experimental-features 'nix-command flakes' flake metadata --offline --json "path:$folder" >"$folder/said" ||
  bad "flake.nix and flake.lock disagree (above): nix flake lock"
cmp -s flake.lock "$folder/flake.lock" || bad "Nix would change flake.lock: nix flake lock"
inputs=$(nix-instantiate --eval --strict --json --expr 'builtins.attrNames (import ./flake.nix).inputs' 2>/dev/null)
[[ $inputs == '["nixpkgs"]' ]] || bad "flake.nix has other inputs than nixpkgs: $inputs"
exit "$problems"
