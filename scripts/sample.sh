#!/usr/bin/env bash
# scripts/sample.sh TOOL: makes evidence/sample anew, one experiment's bundle of this very revision, and holds it to two
# megabytes: it lies in the repository, for everybody to look at and to verify.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

tool=$1
most=2000000
if [[ -n $(git status --porcelain) ]]; then
  echo "sample: commit first; a sample is of a revision, and this tree differs from it" >&2
  exit 2
fi
place=$(mktemp -d)
trap 'rm -rf -- "$place"' EXIT
bundle=$("$tool" prove --only request-rate --out "$place")
bytes=$(find "$bundle" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
if ((bytes > most)); then
  echo "sample: $bundle has $bytes bytes, more than $most; evidence/sample stays as it was" >&2
  exit 1
fi
rm -rf -- evidence/sample
cp -R -- "$bundle" evidence/sample
"$tool" verify --repo . evidence/sample
echo "sample: $bytes bytes; commit evidence/sample" >&2
