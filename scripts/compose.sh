#!/usr/bin/env bash
# scripts/compose.sh up|down [OPTION…]: compose.yaml by docker or podman. `up` with Nix at hand loads every image from the flake
# first and names them to compose; without Nix the service and the receiver are built by the Containerfile and the others are
# upstream's. What .env says of an image wins. Exit codes: compose's, or 2 when there is no engine.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'compose: %s\n' "$*" >&2; }
# A client without its daemon is no engine.
if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
  engine=docker compose=(docker compose)
elif command -v podman >/dev/null && command -v podman-compose >/dev/null; then
  engine=podman compose=(podman-compose)
  # The images' health checks are the Docker format's.
  export BUILDAH_FORMAT=docker
else
  say "neither docker compose nor podman with podman-compose is here" && exit 2
fi

nix_() { nix --extra-experimental-features 'nix-command flakes' "$@"; }
command=${1:?up or down}
shift

[[ -e .env ]] || { say 'no .env yet: taking .env.example, which lets a password be generated' && cp .env.example .env && chmod 600 .env; }
if [[ $command == up ]]; then
  APP_REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  export APP_REVISION
  if command -v nix >/dev/null && nix_ eval --raw .#image.name >/dev/null 2>&1; then
    images=(APP:image RECEIVER:image-receiver PROMETHEUS:image-prometheus ALERTMANAGER:image-alertmanager GRAFANA:image-grafana)
    profiles="${COMPOSE_PROFILES:-} $(sed -n 's/^COMPOSE_PROFILES=//p' .env) $*"
    [[ $profiles != *logs* ]] || images+=(LOKI:image-loki VECTOR:image-vector)
    for pair in "${images[@]}"; do
      say "building ${pair#*:} from the flake"
      file=$(nix_ build --no-link --print-out-paths ".#${pair#*:}")
      # Some releases of podman can't read a compressed archive.
      loaded=$(gzip -dc "$file" | "$engine" load | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
      grep -q "^${pair%%:*}_IMAGE=." .env || export "${pair%%:*}_IMAGE=$loaded"
    done
  else
    say 'no Nix that can evaluate the flake: building by the Containerfile, the other images from upstream'
  fi
  set -- --detach "$@"
fi
"${compose[@]}" "$command" "$@"
