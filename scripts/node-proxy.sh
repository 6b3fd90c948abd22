# How the node proxy is built as it is shipped: by profile (docs/decisions/0018). To be sourced, in the checkout's root.
#
# The compiler finds a function of the profile by its symbol, which holds a hash of its crate's version, features and dependencies, and of whether cargo
# was told the target. So the node proxy is always built alone and told its target: for the image, for the bench, and when a profile is taken.
profile_text=node-proxy/agent/profile.proftext
host=$(rustc -vV | sed -n 's/^host: //p')

# build_node_proxy FLAG…: builds it with these flags of rustc in the target folder CARGO_TARGET_DIR, as $host/dist/heddle-node-proxy there.
build_node_proxy() {
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "$*") \
    cargo build --locked --profile dist --target "$host" --package heddle-node-proxy --bin heddle-node-proxy
}

# bench_programs FOLDER NODE_PROXY: puts that node proxy into the folder, with all that the bench needs beside it, built as it is shipped.
bench_programs() {
  cargo build --locked --profile dist --package heddle-control-plane --package heddle-bench
  mkdir -p "$1"
  ln -f "$CARGO_TARGET_DIR"/dist/heddle-{control-plane,bench} "$2" "$1"
}

# profile_flags FOLDER: prints the flag by which rustc uses the profile, whose compiled form is put into the folder. Prints nothing, and says why, if
# there is nothing that compiles it: the program is the same then, only slower.
profile_flags() {
  local tool compiled
  tool=$(llvm_profdata) || {
    echo "== without the profile (some per cent slower): llvm-profdata is missing, and rustup component add llvm-tools does not get it" >&2
    return
  }
  [ "$(profile_basis)" = "$(grep -m 2 '^# ' $profile_text)" ] ||
    echo "== $profile_text was taken of other versions, so that it helps less: scripts/profile.sh takes a new one" >&2
  # Named by its content, and written once: a file that is newer than what was built by it asks for all of it to be built anew.
  compiled=$1/$(sha256sum <$profile_text | cut -c1-16).profdata
  if [ ! -e "$compiled" ]; then
    mkdir -p "$1"
    "$tool" merge --output "$compiled.new" $profile_text
    mv "$compiled.new" "$compiled"
  fi
  echo "-Cprofile-use=$compiled"
}

# What symbols depend on, as two lines of comment: the compiler, and all crates with their versions and features.
profile_basis() {
  local crates
  crates=$(cargo tree --quiet --locked --edges normal,build --no-dedupe --target "$host" --prefix none --format '{p} {f}' --package heddle-node-proxy |
    sed -E 's/ \((\*|\/[^)]*)\)//g' | LC_ALL=C sort -u | sha256sum | cut -c1-16)
  echo "# Taken of a program by $(rustc --version)"
  echo "# with the crates of $crates (scripts/profile.sh)."
}

# The compiler's own, which rustup installs.
llvm_profdata() {
  local tool
  tool=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
  [ -x "$tool" ] || rustup component add llvm-tools >/dev/null 2>&1 || return
  [ -x "$tool" ] && echo "$tool"
}
