#!/usr/bin/env bash
# A Kubernetes cluster of three nodes on this machine, for tests: `cluster.sh up|down|status|able|build|load TARBALL...|exec NODE COMMAND...|test`.
# tests/cluster/README.md says how it is made.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1

# Program or file that must exist, and the Debian package that has it.
missing=()
need() { command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2"); }
need cc gcc
need pkg-config pkg-config
need /usr/include/seccomp.h libseccomp-dev
need iptables iptables
need ip iproute2
need nsenter util-linux
need mount mount
need openssl openssl
need python3 python3
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "cluster: installing ${missing[*]}" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
      { echo "cluster: could not install ${missing[*]}" >&2; exit 1; }
  else
    echo "cluster: these are missing: ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
fi
[ "${1:-}" = able ] || command -v go >/dev/null || { echo "cluster: go is missing: install Go 1.26 or newer from https://go.dev/dl" >&2; exit 1; }

if [ "${1:-}" = test ]; then
  shift
  exec python3 -m unittest discover --start-directory tests/cluster --top-level-directory tests/cluster --pattern 'test_*.py' --verbose "$@"
fi
exec python3 tests/cluster/cluster.py "$@"
