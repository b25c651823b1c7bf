#!/usr/bin/env bash
# scripts/containers.sh [TEST]: tries the images and compose.yaml under podman, if an engine can run here. With crun refused (an
# older control group layout, a container inside a container) runc is tried. Where none can run it says NOT RUN and ends with 0:
# nothing was shown, and nothing claims it was.
# AICLIPX_IMAGE=NAME tries that image of the service in place of the Containerfile's; AICLIPX_IMAGE_FILE=FILE loads it first.
# Exit codes: 0 all tests passed, or NOT RUN; 1 one failed; 2 a tool is missing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# It has no --version, so the table of tools can't know it; Debian's comes with podman's row.
command -v busybox >/dev/null || { printf 'containers: busybox is missing: apt-get install busybox-static, or nix shell nixpkgs#pkgsStatic.busybox\n' >&2 && exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"; podman rmi --force localhost/aiclipx-probe >/dev/null 2>&1 || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cp "$(command -v busybox)" "$folder/busybox"
tar -c -C "$folder" busybox | podman import - localhost/aiclipx-probe >/dev/null 2>"$folder/said" || true
probe() { podman run --rm --memory 16m --ulimit nofile=64:64 --ulimit nproc=4096:4096 localhost/aiclipx-probe /busybox true >/dev/null 2>"$folder/said"; }

if ! probe; then
  printf '[engine]\nruntime = "runc"\n' >"$folder/containers.conf"
  export CONTAINERS_CONF=$folder/containers.conf
  if ! probe; then
    {
      printf '\n*** NOT RUN: the container tests. No engine can run a container here:\n'
      sed 's/^/***   /' "$folder/said"
      printf '*** Images, limits and compose.yaml are unproven on this machine.\n\n'
    } >&2
    exit 0
  fi
fi

if [[ ${AICLIPX_IMAGE_FILE:-} ]]; then
  # Some releases of podman can't read a compressed archive.
  AICLIPX_IMAGE=$(gzip -dcf -- "$AICLIPX_IMAGE_FILE" | podman load | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
  export AICLIPX_IMAGE
fi
scripts/dist.sh aiclipx-app aiclipx
# One at a time: each has the machine's two processors to itself.
cargo test --locked --test containers -- --ignored --test-threads=1 "$@"
