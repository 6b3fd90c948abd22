#!/usr/bin/env bash
# The xDS protocol suite: Heddle's server and go-control-plane, each put to every rule in each variant that it applies to.
set -uo pipefail
cd "$(dirname "$0")/../../.."

log=$(mktemp) summaries=$(mktemp)
trap 'rm -f "$log" "$summaries"' EXIT
status=0
# With the whole workspace's features, so that what `cargo test --workspace` has built serves here too.
tests=(cargo test --locked --workspace)

# Prints how many pairs of rule and variant hold, and how many are known deviations (which print their reason).
summary() {
  awk -v server="$1" '
    /^test .* \.\.\. ok$/ {split($2, name, "::"); rules[name[1]] = 1; passed++}
    /^test .* \.\.\. FAILED$/ {failed++}
    /^known deviation: / {known++}
    END {
      for (rule in rules) count++
      printf "%s: %d rules, %d of %d rules x variants hold, %d known deviations, %d FAILED\n",
        server, count, passed - known, passed + failed, known, failed
    }' "$log"
}

suite() {
  "${tests[@]}" --test "$1" -- --include-ignored --show-output >"$log" 2>&1 || {
    status=1
    grep -vE '^test .* ok$' "$log" | tail -60
  }
  summary "$2" >>"$summaries"
}

"${tests[@]}" --test heddle --test go_control_plane --no-run || exit 1
suite heddle Heddle
if ! command -v go >/dev/null || ! command -v python3 >/dev/null; then
  echo "go-control-plane: MISSING, not run (needs Go 1.25 or newer and Python 3: https://go.dev/dl)" >>"$summaries"
  [ "$status" -ne 0 ] || status=3
elif ! HEDDLE_GO_CONTROL_PLANE=$(python3 tests/interop/go/build.py); then
  echo "go-control-plane: MISSING, not run (its server could not be built, see above)" >>"$summaries"
  [ "$status" -ne 0 ] || status=3
else
  export HEDDLE_GO_CONTROL_PLANE
  suite go_control_plane go-control-plane
fi
cat "$summaries"
exit "$status"
