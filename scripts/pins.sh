#!/usr/bin/env bash
# scripts/pins.sh: every pin of the project, read from where it is kept: flake.lock, Cargo.lock, scripts/tools.tsv (PyPI),
# compose.yaml and Containerfile (images), the workflow (actions). None is written down twice.
# scripts/pins.sh update: moves what can be moved without judgement, nixpkgs within its release (needs Nix) and crates within
# Cargo.toml's ranges, and names the rest. Exit codes: 0, or 1 when a mover failed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

pins() {
  printf '\n%-14s %-58s %s\n' PIN WHAT KEPT\ IN
  sed -n 's/.*"rev": "\([0-9a-f]*\)".*/\1/p' flake.lock | while IFS= read -r rev; do
    row nixpkgs "$rev" flake.lock
  done
  row crates "$(grep -c '^name = ' Cargo.lock) packages by checksum" Cargo.lock
  row rust "$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)" Cargo.toml
  sed -n '/^#/d;s/.*pypi:\([^\t]*\).*/\1/p' scripts/tools.tsv | while IFS= read -r wheel; do row pypi "$wheel" scripts/tools.tsv; done
  sed -n 's/.*image: ${[A-Z_]*:-\(docker.io.*\)}.*/\1/p' compose.yaml | sort -u | while IFS= read -r image; do row image "$image" compose.yaml; done
  row image "$(sed -n 's/^ARG RUST_IMAGE=//p' Containerfile)" Containerfile
  sed -n 's/.*uses: \([^@]*\)@\([0-9a-f]\{8\}\)[0-9a-f]* # \(.*\)/\1 \2 \3/p' .github/workflows/ci.yml | sort -u |
    while read -r action commit version; do row action "$action $version ($commit)" .github/workflows/ci.yml; done
}
say() { printf 'pins: %s\n' "$*" >&2; }
row() { printf '%-14s %-58s %s\n' "$1" "$2" "$3"; }

case ${1:-} in
  '') pins ;;
  update)
    status=0
    if command -v nix >/dev/null; then
      nix --extra-experimental-features 'nix-command flakes' flake update || { say 'flake.lock stays as it is (above)' && status=1; }
    else
      say 'no Nix here: flake.lock stays as it is'
    fi
    cargo update || { say 'Cargo.lock stays as it is (above)' && status=1; }
    say 'by hand, since a person should read the release notes: scripts/tools.tsv, compose.yaml, Containerfile, actions'
    pins
    exit "$status" ;;
  *) printf 'pins: takes nothing or the word update, not %q\n' "$1" >&2 && exit 2 ;;
esac
