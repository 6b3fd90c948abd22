#!/usr/bin/env bash
# Runs lints and all tests, and counts the tests at the end. Exits non-zero if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

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
