#!/usr/bin/env bash
# Real gRPC (PyPI grpcio: C-core) as client and server by xds:///, against the real control plane. HEDDLE_PROGRAMS names a folder of built programs;
# without it they are built. `run.sh test_grpc.Routing` runs a part. test_ipv6 runs in a network namespace of its own, without IPv4.
set -uo pipefail
cd "$(dirname "$0")/../../.."
here=tests/interop/grpc
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heddle/interop
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}

missing() {
  echo "gRPC: MISSING, not run ($1)"
  exit 3
}

command -v python3 >/dev/null || missing "needs Python 3.10 or newer with venv; on Debian: apt-get install python3-venv"
venv=$cache/grpc-$(cksum <$here/requirements.txt | cut -d' ' -f1)
if [ ! -e "$venv/complete" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 || missing "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 30 -r $here/requirements.txt >&2 ||
    missing "the packages of $here/requirements.txt could not be installed from PyPI"
  touch "$venv/complete"
fi
if [ -z "${HEDDLE_PROGRAMS:-}" ]; then
  cargo build --locked --workspace --bins || exit 1
  export HEDDLE_PROGRAMS=$CARGO_TARGET_DIR/debug
fi
cd $here || exit 1
export PYTHONDONTWRITEBYTECODE=1

# Loopback and the addresses of pods (harness/family.py: group and number), no others; nothing of the machine is changed.
ipv6_only='ip link set lo up && ip -4 address flush dev lo && for group in 1 2 3 6; do for number in 1 2 3; do
  ip -6 address add fd00:6d::${group}0$number/128 dev lo nodad || exit; done; done; exec "$@"'
unshare=(unshare --net)
[ "$(id -u)" -eq 0 ] || unshare+=(--user --map-root-user)

run() {
  case $1 in
    test_ipv6*) "${unshare[@]}" sh -c "$ipv6_only" sh "$venv/bin/python" -m unittest --verbose "$@" ;;
    *) "$venv/bin/python" -m unittest --verbose "$@" ;;
  esac
}

if [ $# -gt 0 ]; then
  run "$@"
  exit
fi
run test_grpc || exit
"${unshare[@]}" sh -c "$ipv6_only" sh true || missing "IPv6: needs iproute2 and network namespaces of one's own, with IPv6"
run test_ipv6
