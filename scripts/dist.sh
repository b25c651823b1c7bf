#!/usr/bin/env bash
# scripts/dist.sh: the service as the image carries it: release, without the tool, static, with no path of this machine in it.
# Leaves dist/aiclipx-app. Linux with glibc's static libraries (Debian: libc6-dev).
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# `--target` keeps the flags from procedural macros, which can't be static. The separator allows paths with spaces.
host=$(rustc --print host-tuple)
flags=(-C target-feature=+crt-static "--remap-path-prefix=$PWD=/build" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' "${flags[@]}")
export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\x1f'}
cargo build --locked --release --no-default-features --bin aiclipx-app --target "$host"
mkdir -p dist
install -m 755 "${CARGO_TARGET_DIR:-target}/$host/release/aiclipx-app" dist/aiclipx-app
ls -l dist/aiclipx-app
