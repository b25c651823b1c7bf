#!/usr/bin/env bash
# scripts/containers.sh [TEST]: tries the images and compose.yaml under podman and under Docker, whichever can run here; both, if
# both can. With podman's crun refused (an older control group layout, a container inside a container) runc is tried. Where none
# can run it says NOT RUN and ends with 0: nothing was shown, and nothing claims it was.
# AICLIPX_IMAGE=NAME tries that image of the service in place of the Containerfile's; AICLIPX_IMAGE_FILE=FILE loads it first.
# Exit codes: 0 all tests passed, or NOT RUN; 1 one failed; 2 a tool is missing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# It has no --version, so the table of tools can't know it; Debian's comes with podman's row.
command -v busybox >/dev/null || { printf 'containers: busybox is missing: apt-get install busybox-static, or nix shell nixpkgs#pkgsStatic.busybox\n' >&2 && exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cp "$(command -v busybox)" "$folder/busybox"

# Can this engine run a container with limits? What it said, if not, is in the file.
runs() {
  local engine=$1 status=0 probe=localhost/aiclipx-probe
  {
    tar -c -C "$folder" busybox | "$engine" import - "$probe" >/dev/null &&
      "$engine" run --rm --network none --memory 16m --ulimit nofile=64:64 --ulimit nproc=4096:4096 "$probe" /busybox true
  } >/dev/null 2>"$folder/$engine" || status=$?
  "$engine" rmi --force "$probe" >/dev/null 2>&1 || true
  return "$status"
}

engines=()
if command -v podman >/dev/null && command -v podman-compose >/dev/null; then
  if runs podman; then
    engines+=(podman)
  else
    printf '[engine]\nruntime = "runc"\n' >"$folder/containers.conf"
    export CONTAINERS_CONF=$folder/containers.conf
    ! runs podman || engines+=(podman)
  fi
else
  printf 'podman with podman-compose is not on PATH.\n' >"$folder/podman"
fi
# podman goes by that name, too.
if [[ $(docker --version 2>/dev/null) == Docker* ]]; then
  if ! docker compose version >/dev/null 2>&1; then
    printf 'docker has no compose.\n' >"$folder/docker"
  elif runs docker; then
    engines+=(docker)
  fi
else
  printf 'docker is not on PATH.\n' >"$folder/docker"
fi

for engine in podman docker; do
  [[ " ${engines[*]} " != *" $engine "* ]] || continue
  {
    printf '\n*** NOT RUN under %s: the container tests. It can run none here:\n' "$engine"
    sed 's/^/***   /' "$folder/$engine"
  } >&2
done
if ((${#engines[@]} == 0)); then
  printf '*** Images, limits and compose.yaml are unproven on this machine.\n\n' >&2
  exit 0
fi

scripts/dist.sh aiclipx-app aiclipx
status=0
for engine in "${engines[@]}"; do
  printf '\n=== under %s: %s\n' "$engine" "$("$engine" --version)"
  export AICLIPX_ENGINE=$engine
  if [[ ${AICLIPX_IMAGE_FILE:-} ]]; then
    # Some releases of podman can't read a compressed archive.
    AICLIPX_IMAGE=$(gzip -dcf -- "$AICLIPX_IMAGE_FILE" | "$engine" load | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
    export AICLIPX_IMAGE
  fi
  # One at a time: what is timed shares the processors with nobody.
  cargo test --locked --test containers -- --ignored --test-threads=1 "$@" || status=1
done
exit "$status"
