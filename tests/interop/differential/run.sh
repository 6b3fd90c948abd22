#!/usr/bin/env bash
# The differential test: Envoy and the node proxy get the same listeners, routes, clusters and requests. DIFFERENTIAL_CASES and
# DIFFERENTIAL_SEED say how many requests and which (20000 and 1); a long run:
# `DIFFERENTIAL_CASES=1000000 DIFFERENTIAL_SEED=$RANDOM scripts/interop.sh differential`.
set -uo pipefail
cd "$(dirname "$0")/../../.."
source scripts/prerequisites.sh
source scripts/envoy.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

missing() { echo "differential: MISSING, not run ($1)"; exit 3; }
[ "$(id -u)" -eq 0 ] || missing "the node proxy marks its sockets, which takes root: sudo -E scripts/interop.sh differential"
command -v python3 >/dev/null || missing "needs python3; on Debian: apt-get install python3-venv"
program=$(envoy) || missing "Envoy $envoy_version could not be installed: needs python3 with venv, and PyPI"

# With the whole workspace's features, so that what `cargo test --workspace` has built serves here too.
cargo build --locked --workspace --bin heddle-node-proxy --bin heddle-interop-differential || exit 1
folder=$CARGO_TARGET_DIR/debug
begun=$SECONDS
"$folder/heddle-interop-differential" --envoy "$program" --node-proxy "$folder/heddle-node-proxy" \
  --cases "${DIFFERENTIAL_CASES:-20000}" --seed "${DIFFERENTIAL_SEED:-1}" "$@"
ended=$?
# As Python's runner says it: scripts/test.sh counts that.
echo "Ran 1 test in $((SECONDS - begun)).0s"
[ "$ended" -eq 0 ] || { echo "FAILED (failures=1)"; exit 1; }
