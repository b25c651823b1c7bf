#!/usr/bin/env bash
# scripts/dist.sh [PROGRAM…]: programs as images carry them: release, static, with no path of this machine in them. Without a
# name the service, built without the tool. Leaves dist/PROGRAM. FEATURES, where set, are the package's. Linux with glibc's static libraries (Debian: libc6-dev).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
(($#)) || set -- aiclipx-app

# `--target` keeps the flags from procedural macros, which can't be static. The separator allows paths with spaces.
host=$(rustc --print host-tuple)
flags=(-C target-feature=+crt-static "--remap-path-prefix=$PWD=/build" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
# data/: an image's folder for what its program writes; a scratch image can make none.
mkdir -p dist/data
for program in "$@"; do
  # By its package: of all of them the service would be built with what the tool asks of its crates.
  case $program in aiclipx) package=aiclipx-tool ;; aiclipx-verify) package=aiclipx-judge ;; *) package=$program ;; esac
  cargo build --locked --release --package "$package" --bin "$program" --target "$host" ${FEATURES:+--features "$FEATURES"}
  install -m 755 "${CARGO_TARGET_DIR:-target}/$host/release/$program" "dist/$program"
  ls -l "dist/$program"
done
