#!/usr/bin/env bash
# Heddle's Helm charts.
#   scripts/charts.sh               lint and tests of what they render; needs Helm (scripts/cluster.sh build makes it, HELM names another)
#   scripts/charts.sh api-server    the same on a real API server, alone on loopback (programs of scripts/cluster.sh build)
#   scripts/charts.sh readme        writes the tables of values in helm/README.md
#   scripts/charts.sh vendor        writes the definitions: the Gateway API's from its Go module, Heddle's own from their types
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heddle
version=v1.7.0
files=helm/heddle-crds/files

tests() { exec python3 -m unittest discover --start-directory helm/tests --pattern "$1" --verbose; }

vendor() {
  # The module wants a newer Go than it takes to read its files: the zip is enough.
  zip=$(cd tests/cluster/go/helm && { go mod download -json "sigs.k8s.io/gateway-api@$version" || true; } | sed -n 's/^\t"Zip": "\(.*\)",$/\1/p')
  [ -f "$zip" ] || { echo "charts: the Go module sigs.k8s.io/gateway-api@$version could not be had" >&2; exit 1; }
  rm -rf "$files/gateway-api"
  mkdir -p "$files/gateway-api"
  python3 - "$zip" "sigs.k8s.io/gateway-api@$version" "$files/gateway-api" <<'EXTRACT'
import pathlib, sys, zipfile
archive, module, out = zipfile.ZipFile(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
for name in archive.namelist():
    path = pathlib.PurePosixPath(name)
    if path.parent == pathlib.PurePosixPath(module, "config/crd/standard") and path.suffix == ".yaml" or path == pathlib.PurePosixPath(module, "LICENSE"):
        (out / path.name).write_bytes(archive.read(name))
EXTRACT
  CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target} cargo run --quiet --locked -p heddle-resources --example crds >"$files/heddle.dev_authorizationpolicies.yaml"
}

case ${1:-} in
  "")
    if [ -z "${HELM:-}" ] && [ ! -x "$cache/cluster/bin/helm" ] && ! command -v helm >/dev/null; then
      echo "charts: Helm is missing: scripts/cluster.sh build makes it, or set HELM" >&2
      exit 1
    fi
    tests 'test_charts.py' ;;
  api-server) tests 'test_api_server.py' ;;
  readme) python3 helm/tests/readme.py ;;
  vendor) vendor ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
