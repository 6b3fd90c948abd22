#!/usr/bin/env bash
# Measures the control plane's stream: 500 streams of 1,000 Services with 10,000 endpoints, and a Gateway with 5,000 routes. Prints
# figures and judges none; LOAD_SECONDS is how long each rate is kept up.
set -euo pipefail
cd "$(dirname "$0")/../../.."
# A connection for each stream, at both ends of one machine.
ulimit -n 8192 2>/dev/null || { echo "8192 open files are needed: ulimit -n 8192"; exit 3; }
cargo build --release --locked -p heddle-bench --bin heddle-load
load="$CARGO_TARGET_DIR/release/heddle-load"
seconds=${LOAD_SECONDS:-15}
echo "-- endpoints, delta"
"$load" --seconds "$seconds"
echo "-- endpoints, state of the world"
"$load" --seconds "$seconds" --protocol world --rates 1
echo "-- routes of one Gateway, delta"
"$load" --seconds "$seconds" --services 100 --endpoints 2 --routes 5000 --case routes --streams 10 --rates 1
