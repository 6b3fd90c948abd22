#!/usr/bin/env bash
# Heddle's node proxy under a control plane of others: go-control-plane drives the real program over delta and the state of the world.
set -uo pipefail
cd "$(dirname "$0")/../../.."

if [ "$(id -u)" -ne 0 ]; then
  echo "The node proxy marks its sockets (SO_MARK, IP_TRANSPARENT), which takes root: sudo -E scripts/interop.sh proxy"
  exit 3
fi
if ! command -v go >/dev/null || ! command -v python3 >/dev/null; then
  echo "Go 1.25 or newer (https://go.dev/dl) and Python 3 are needed to build go-control-plane's server."
  exit 3
fi
if ! HEDDLE_GO_CONTROL_PLANE=$(python3 tests/interop/go/build.py); then
  echo "go-control-plane's server could not be built, see above."
  exit 3
fi
export HEDDLE_GO_CONTROL_PLANE
# With the whole workspace's features, so that what `cargo test --workspace` has built serves here too.
cargo build --locked --workspace --bin heddle-node-proxy || exit 1
cargo test --locked --workspace --test node_proxy --no-run || exit 1
cargo test --locked --workspace --test node_proxy -- --include-ignored
