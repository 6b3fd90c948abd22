#!/usr/bin/env bash
# The Gateway API conformance suite against Heddle, installed on a running cluster: `conformance.sh [--suite 1.7.0|1.6.3]
# [--profile mesh|gateway-http] [--run TEST]... [--no-documents] [--smoke] [--install-crds]`, or `conformance.sh test` for the tests of the runner itself.
# docs/conformance/README.md says more.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1

if [ "${1:-}" = test ]; then
  shift
  exec python3 -m unittest discover --start-directory tests/conformance --top-level-directory tests/conformance --pattern 'test_*.py' "$@"
fi
for program in go openssl python3; do
  command -v "$program" >/dev/null || { echo "conformance: $program is missing" >&2; exit 1; }
done
exec python3 tests/conformance/conformance.py "$@"
