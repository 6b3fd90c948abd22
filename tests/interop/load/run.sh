#!/usr/bin/env bash
# Measures the control plane's stream: 500 streams of 1,000 Services with 10,000 endpoints, and a Gateway with 5,000 routes. Prints
# figures and judges none; LOAD_SECONDS is how long each rate is kept up.
# With LOAD_SMOKE=1, as `make test` does, a tenth of it for a moment, in a program that is not optimised: it tells whether all changes arrive.
set -euo pipefail
cd "$(dirname "$0")/../../.."
# A connection for each stream, at both ends of one machine.
ulimit -n 8192 2>/dev/null || { echo "8192 open files are needed: ulimit -n 8192"; exit 3; }
smoke=${LOAD_SMOKE:-}
if [ -n "$smoke" ]; then
  cargo build --locked -p heddle-bench --bin heddle-load
  load="$CARGO_TARGET_DIR/debug/heddle-load" seconds=2 routes=500
  world=(--services 100 --endpoints 10 --streams 50)
else
  cargo build --release --locked -p heddle-bench --bin heddle-load
  load="$CARGO_TARGET_DIR/release/heddle-load" seconds=${LOAD_SECONDS:-15} routes=5000
  world=()
fi
start=$SECONDS
echo "-- endpoints, delta"
"$load" --seconds "$seconds" "${world[@]}"
echo "-- endpoints, state of the world"
"$load" --seconds "$seconds" --protocol world --rates 1 "${world[@]}"
echo "-- routes of one Gateway, delta"
"$load" --seconds "$seconds" --services 100 --endpoints 2 --routes "$routes" --case routes --streams 10 --rates 1
if [ -n "$smoke" ]; then
  echo "The figures above are of an unoptimised program, for a moment each: none of them means anything."
  echo "Ran 3 tests in $((SECONDS - start))s"
fi
