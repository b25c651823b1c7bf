#!/usr/bin/env bash
# scripts/compose.sh up|down [--profile logs] [OPTION…]: compose.yaml by docker or podman. `up` with Nix at hand loads every image from the flake
# first and names them to compose; without Nix the service and the receiver are built by the Containerfile and the others are
# upstream's. What .env says of an image wins. Exit codes: compose's, or 2 when there is no engine, or it could not read the files.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { printf 'compose: %s\n' "$*" >&2; }
command=${1:?up or down}
shift
# Compose's own option, which it takes before its command only. What runs is stopped, whoever asked for it.
profile=()
[[ $command == up ]] || profile=(--profile logs)
if [[ ${1:-} == --profile ]]; then
  profile=(--profile "${2:?which profile}")
  shift 2
fi

if [[ $command == up ]]; then
  # Containers run as users of their own. What they find here is as git made it, and git asks the umask.
  hidden=$(find monitoring \( -type d ! -perm -005 -o -type f ! -perm -004 \) -print -quit)
  if [[ $hidden ]]; then
    say "only you can read $hidden, and containers run as other users (was this cloned under a strict umask?). Type:"
    printf '  chmod -R go+rX monitoring\n' >&2
    exit 2
  fi
fi

# A client without its daemon is no engine.
if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
  engine=docker compose=(docker compose)
elif command -v podman >/dev/null && command -v podman-compose >/dev/null; then
  engine=podman compose=(podman-compose)
  # The images' health checks are the Docker format's.
  export BUILDAH_FORMAT=docker
else
  say "neither podman with podman-compose nor docker compose with a daemon that answers is here"
  ! command -v docker >/dev/null || docker info 2>&1 | tail -n 1 | sed 's/^/  docker: /' >&2 || true
  exit 2
fi

compose+=("${profile[@]}")

nix_() { nix --extra-experimental-features 'nix-command flakes' "$@"; }

[[ -e .env ]] || { say 'no .env yet: taking .env.example, which lets a password be generated' && cp .env.example .env && chmod 600 .env; }
if [[ $command == up ]]; then
  APP_REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)
  export APP_REVISION
  if command -v nix >/dev/null && nix_ eval --raw .#image.name >/dev/null 2>&1; then
    # What compose itself makes of .env and of the environment: which services it would start, and from which images.
    services=$("${compose[@]}" config --services)
    resolved=$("${compose[@]}" config)
    for pair in APP:app:image RECEIVER:receiver:image-receiver PROMETHEUS:prometheus:image-prometheus \
      ALERTMANAGER:alertmanager:image-alertmanager GRAFANA:grafana:image-grafana PROBE:probe:image-probe \
      LOKI:loki:image-loki VECTOR:vector:image-vector; do
      IFS=: read -r name service attribute <<<"$pair"
      grep -qx "$service" <<<"$services" || continue
      # Another than compose.yaml's own was named: that one it is.
      own=$(sed -n "s/.*image: \${${name}_IMAGE:-\(.*\)}.*/\1/p" compose.yaml)
      grep -qF "image: $own" <<<"$resolved" || continue
      # Whose items are in a database has to be built for it.
      [[ $name != APP ]] || ! grep -qE 'APP_DATABASE_URL: "?postgres' <<<"$resolved" || attribute=image-postgres
      say "building $attribute from the flake"
      file=$(nix_ build --no-link --print-out-paths ".#$attribute")
      # Some releases of podman can't read a compressed archive.
      loaded=$(gzip -dc "$file" | "$engine" load | sed -n 's/^Loaded image[^:]*: *//p' | tail -n 1)
      [[ $loaded ]] || { say "$engine did not say what it loaded of $file" && exit 2; }
      export "${name}_IMAGE=$loaded"
    done
  else
    say 'no Nix that can evaluate the flake: building by the Containerfile, the other images from upstream'
  fi
  set -- --detach "$@"
fi
"${compose[@]}" "$command" "$@"
