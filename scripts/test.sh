#!/usr/bin/env bash
# Runs lints and all tests, and counts the tests at the end. Exits non-zero if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
# An error says what went wrong; where it was made only pushes that out of sight. Panics keep theirs.
export RUST_LIB_BACKTRACE=0
source scripts/prerequisites.sh

log=$(mktemp) programs=$(mktemp)
builder=
# The build ends with us: nobody waits for it then.
trap 'rm -f "$log" "$programs"; [ -z "$builder" ] || kill -- "-$builder" 2>/dev/null' EXIT
failed=0

# A cluster's programs (Go) take long to build and are not needed before the end: meanwhile, and with what the rest leaves of the processors.
build_cluster() { scripts/cluster.sh build && scripts/conformance.sh --smoke; }
if lacking=$(scripts/cluster.sh able 2>&1); then
  echo "== the test cluster's programs are built meanwhile"
  set -m
  build_cluster >"$programs" 2>&1 &
  builder=$!
  set +m
fi

step() {
  echo
  echo "== $1"
  shift
  "$@" || failed=1
}

step "format" cargo fmt --all --check
step "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
# The scenarios run the programs themselves.
step "programs" cargo build --workspace --bins --locked
echo
echo "== tests"
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || failed=1

echo
echo "== tools"
# Python's runner closes with `Ran 12 tests in 0.1s` and `OK` or `FAILED (failures=1, errors=1)`.
for tests in "scripts/images.sh --test" "scripts/conformance.sh test"; do
  $tests 2>&1 | tee -a "$log" || failed=1
done

if command -v go >/dev/null; then
  # The proxy's part takes root, and says so by itself.
  parts=(xds)
  [ "$(id -u)" -ne 0 ] || parts+=(proxy)
  step "interop" scripts/interop.sh "${parts[@]}"
fi

# Other clients of the control plane. 3: something that a part needs is missing, and it says what.
for part in grpc envoy differential load; do
  echo
  echo "== interop: $part"
  LOAD_SMOKE=1 bash "tests/interop/$part/run.sh" 2>&1 | tee -a "$log"
  case ${PIPESTATUS[0]} in 0 | 3) ;; *) failed=1 ;; esac
done

step "microbench: each once" scripts/microbench.sh --smoke

if [ "$(id -u)" -eq 0 ]; then
  echo
  echo "== bench: every case for a moment"
  scripts/bench.sh --smoke 2>&1 | tee -a "$log" || failed=1
fi

echo
echo "== cluster"
if [ -z "$builder" ]; then
  echo "Heddle was NOT tested on a cluster. $lacking"
elif ! wait "$builder"; then
  cat "$programs"
  echo "error: the test cluster's programs could not be built"
  failed=1
else
  builder=
  grep -E '^(cluster|conformance): ' "$programs"
  for tests in "scripts/charts.sh" "scripts/cluster.sh test"; do
    HEDDLE_PROFILE=dev $tests 2>&1 | tee -a "$log" || failed=1
  done
fi

# Every test program closes with `test result: ok. 12 passed; 0 failed; ...`.
read -r passed broken < <(sed 's/\x1b\[[0-9;]*m//g' "$log" |
  awk '/^test result:/ {for (i = 1; i < NF; i++) {if ($(i+1) == "passed;") p += $i; if ($(i+1) == "failed;") f += $i}}
    /^Ran [0-9]+ tests? in / {p += $2}
    /^FAILED \(/ {while (match($0, /[0-9]+/)) {n = substr($0, RSTART, RLENGTH); p -= n; f += n; $0 = substr($0, RSTART + RLENGTH)}}
    END {print p+0, f+0}')
[ "$broken" -eq 0 ] || failed=1
echo
[ "$failed" -eq 0 ] || echo "Something failed: look for 'FAILED' and 'error' above."
echo "$passed passed, $broken failed"
exit "$failed"
