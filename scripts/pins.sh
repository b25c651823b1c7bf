#!/usr/bin/env bash
# scripts/pins.sh: every pin of the project, read from where it is kept: flake.lock, Cargo.lock, scripts/tools.tsv (PyPI),
# compose.yaml and Containerfile (images), the workflows (actions). None is written down twice but images, which deploy/kubernetes
# names as compose.yaml does: `aiclipx check` holds it to that, and `update` moves both.
# scripts/pins.sh update: moves what can be moved without judgement, nixpkgs within its release (needs Nix), crates within
# Cargo.toml's ranges and the digests of the images' tags (needs skopeo, or docker with buildx), and names the rest.
# Exit codes: 0, or 1 when a mover failed.
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
  images | while IFS=@ read -r image digest; do
    digest=${digest#sha256:}
    [[ $digest ]] && digest=${digest:0:8} || digest='no digest'
    row image "$image ($digest)" "$(grep -lF "$image" compose.yaml Containerfile)"
  done
  # Of an action that two workflows pin differently there are two rows.
  sed -n 's/.*uses: \([^@]*\)@\([0-9a-f]\{8\}\)[0-9a-f]* # \(.*\)/\1 \2 \3/p' .github/workflows/*.yml | sort -u |
    while read -r action commit version; do row action "$action $version ($commit)" .github/workflows; done
}
say() { printf 'pins: %s\n' "$*" >&2; }
row() { printf '%-14s %-58s %s\n' "$1" "$2" "$3"; }

# Every image of a registry that we name: NAME:TAG, with @DIGEST where it has one.
images() { grep -Eoh 'docker\.io/[a-z/-]+:[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?' compose.yaml Containerfile; }

# What a tag means today: the digest of its index, which is for every architecture.
digest_of() {
  if command -v skopeo >/dev/null; then
    skopeo inspect --no-tags --format '{{.Digest}}' "docker://$1"
  else
    docker buildx imagetools inspect "$1" | sed -n 's/^Digest: *//p'
  fi
}

# Writes each image's digest behind its tag; one whose registry does not answer stays as it is.
move_images() {
  local image digest status=0
  if ! command -v skopeo >/dev/null && ! docker buildx version >/dev/null 2>&1; then
    say 'neither skopeo nor docker with buildx here: the digests of the images stay as they are'
    return
  fi
  for image in $(images | sed 's/@.*//'); do
    if ! digest=$(digest_of "$image") || ! [[ $digest =~ ^sha256:[0-9a-f]{64}$ ]]; then
      say "$image stays as it is (above)" && status=1 && continue
    fi
    find deploy/kubernetes -name '*.yaml' -exec \
      sed -Ei "s#(${image//./\\.})(@sha256:[0-9a-f]{64})?([}[:space:]]|\$)#\1@$digest\3#" compose.yaml Containerfile {} +
  done
  return "$status"
}

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
    move_images || status=1
    say 'by hand, since a person should read the release notes: scripts/tools.tsv, actions, and the tags in compose.yaml and Containerfile'
    pins
    exit "$status" ;;
  *) printf 'pins: takes nothing or the word update, not %q\n' "$1" >&2 && exit 2 ;;
esac
