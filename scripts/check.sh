#!/usr/bin/env bash
# scripts/check.sh TOOL [OPTION…]: every static check of the tree. With options (--live) the tool alone is asked. Exit codes: of
# the first that finds something.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

"$1" check "${@:2}"
(($# == 1)) || exit 0
scripts/loaders.sh
scripts/vector.sh
scripts/nix-files.sh
