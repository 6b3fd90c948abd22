#!/usr/bin/env bash
# Real gRPC (PyPI grpcio: C-core) as client and server by xds:///, against the real control plane. HEDDLE_PROGRAMS names a folder of built programs;
# without it they are built. `run.sh test_grpc.Routing` runs a part.
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
exec "$venv/bin/python" -m unittest --verbose "${@:-test_grpc}"
