#!/usr/bin/env bash
# Builds Heddle's programs and runs `heddle demo` with the given arguments. Only the demo itself writes to the standard output.
set -euo pipefail
cd "$(dirname "$0")/.."
{
  source scripts/prerequisites.sh
  echo "== building Heddle (the first time takes some minutes)"
  cargo build --release --locked -p heddle -p heddle-control-plane -p heddle-node-proxy
} >&2
exec "$CARGO_TARGET_DIR/release/heddle" demo "$@"
