#!/usr/bin/env bash
# Builds Heddle's programs and runs `heddle demo` with the given arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
echo "== building Heddle (the first time takes some minutes)"
cargo build --release --locked -p heddle -p heddle-control-plane -p heddle-node-proxy
exec "$CARGO_TARGET_DIR/release/heddle" demo "$@"
