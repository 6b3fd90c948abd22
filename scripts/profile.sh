#!/usr/bin/env bash
# Takes the profile by which the node proxy is built (docs/decisions/0018), and writes it to node-proxy/agent/profile.proftext: builds the node proxy
# so that it counts, sends the load of all the bench's cases through it, and keeps what was counted of functions that do the work.
# For a release, and when scripts/bench.sh or scripts/images.sh say that it was taken of other versions.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/prerequisites.sh
source scripts/node-proxy.sh
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}
tool=$(llvm_profdata) || { echo "llvm-profdata is missing: rustup component add llvm-tools"; exit 1; }

echo "== building Heddle (the first time takes some minutes)"
(export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/profiling && build_node_proxy -Cprofile-generate)
programs=$CARGO_TARGET_DIR/profiling/programs
bench_programs "$programs" "$CARGO_TARGET_DIR/profiling/$host/dist/heddle-node-proxy"

echo "== counting"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Process ids are those in the bench's namespace: they are used once in a run.
LLVM_PROFILE_FILE=$work/%p.profraw "$programs/heddle-bench" --out "$work" --rounds 1 --seconds "${PROFILE_SECONDS:-1.5}" --let-end >/dev/null

# hot: what is called less than some thousand times (in a minute and more of load) is compiled as ever, neither as hot nor as cold: what a control
# plane's updates run through, and what no load of the bench comes to.
hot() {
  awk -v RS= -v ORS='\n\n' '
    { most = 0; counts = 0; lines = split($0, line, "\n")
      for (i = 1; i <= lines; i++)
        if (line[i] ~ /^#/) counts = line[i] ~ /Counter Values/
        else if (counts && line[i] + 0 > most) most = line[i] + 0 }
    most >= 4000 { sub(/^# IR level[^\n]*\n:ir\n/, ""); print }'
}
"$tool" merge --sparse --text --output "$work/all" "$work"/*.profraw
{
  profile_basis
  echo ":ir"
  hot <"$work/all"
} >"$work/hot"
"$tool" show "$work/hot"
mv "$work/hot" $profile_text
echo "== $profile_text is of $(grep -c '^# Func Hash' "$work/all") functions that ran; kept: $(grep -c '^# Func Hash' $profile_text), $(wc -c <$profile_text) bytes"
