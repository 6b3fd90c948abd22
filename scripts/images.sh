#!/usr/bin/env bash
# Builds Heddle's container image as an OCI layout in a tar file, with its SBOM beside it, and prints the tar file's path.
#   scripts/images.sh [--profile release|dev] [--out DIR|FILE.tar] [--check] | --test
# --check makes it twice, compares, and runs the programs in the image alone; --test runs the tests of the image writer. images/README.md says how.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo >/dev/null || { echo "images: cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
source scripts/node-proxy.sh
export PATH="$PATH:/usr/sbin:/sbin" PYTHONDONTWRITEBYTECODE=1
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/target}
profile=release out= check=
programs=(heddle-control-plane heddle-node-proxy heddle-cni heddle)

say() { echo "images: $*" >&2; }
fail() { say "$@"; exit 1; }
usage() { say "usage: scripts/images.sh [--profile release|dev] [--out DIR|FILE.tar] [--check] | --test"; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=${2:-}; shift 2 || usage ;;
    --out) out=${2:-}; shift 2 || usage ;;
    --check) check=yes; shift ;;
    --test) exec python3 -m unittest discover --start-directory images --pattern 'test_*.py' --verbose ;;
    *) usage ;;
  esac
done
case $profile in release | dev) ;; *) usage ;; esac

# Program or file that must exist, and the Debian package that has it.
missing=()
need() { command -v "$1" >/dev/null || [ -e "$1" ] || missing+=("$2"); }
need cc gcc
need cmake cmake
need readelf binutils
need /usr/include/stdio.h libc6-dev
need nft nftables
need python3 python3
need unshare util-linux
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
      fail "could not install ${missing[*]}"
  else
    fail "these are missing: ${missing[*]}. On Debian: sudo apt-get install ${missing[*]}"
  fi
fi

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
source=$(sed -n '/^\[workspace.package\]/,/^\[/s/^repository = "\(.*\)"/\1/p' Cargo.toml)
case $out in
  *.tar) image=$(realpath --canonicalize-missing "$out") ;;
  *) image=$(realpath --canonicalize-missing "${out:-$target/images}")/heddle-$version.tar ;;
esac
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision+=-dirty
created=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# build CHECKOUT TARGET: puts the programs, static and stripped, into $work/programs.
build() (
  cd "$1"
  export CARGO_TARGET_DIR=$2
  rm -rf "$work/programs" && mkdir "$work/programs"
  "build_$profile" "$@"
)

# Panics and debugging information name source files: in a release by paths that do not depend on where checkout, registry and target folder lie.
# Such a build has a target folder of its own, and is told its target, so that these flags are not those of macros and build scripts.
build_release() {
  local cargo=${CARGO_HOME:-$HOME/.cargo} rust path flags=(-Ctarget-feature=+crt-static) cflags= others=()
  rust=$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$(rustc -vV | sed -n 's/^commit-hash: //p')
  for path in "$1=/heddle" "$cargo=/cargo" "$2=/target"; do
    flags+=("--remap-path-prefix=$path")
    cflags+=" -ffile-prefix-map=$path"
  done
  flags+=("--remap-path-prefix=$rust")
  export CFLAGS=$cflags CXXFLAGS=$cflags
  for program in "${programs[@]}"; do
    [ "$program" = heddle-node-proxy ] || others+=("--package=$program")
  done
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}") cargo build --locked --quiet --profile dist --target "$host" "${others[@]}" --bins >&2
  build_node_proxy "${flags[@]}" $(profile_flags "$2/profiles") >&2
  for program in "${programs[@]}"; do
    strip -o "$work/programs/$program" "$2/$host/dist/$program"
    is_static "$work/programs/$program" || fail "$program is not static"
  done
}

# The C library is chosen when a program is linked: what was compiled for other builds serves here too. One of those may link the program its own
# way before it is copied; then once more.
build_dev() {
  for program in "${programs[@]}"; do
    for _ in 1 2 3; do
      cargo rustc --locked --quiet -p "$program" --bin "$program" -- -C target-feature=+crt-static >&2
      strip -o "$work/programs/$program" "$2/debug/$program"
      is_static "$work/programs/$program" && continue 2
    done
    fail "$program is not static, whatever is tried: does another build run in $2?"
  done
}

# Not `grep -q`: it would end before readelf has.
is_static() { ! readelf --program-headers --wide "$1" | grep '^ *INTERP' >/dev/null; }

write() {
  python3 images/image.py --programs "$work/programs" --tree "$work/tree" --metadata "$work/metadata" --rust "$(rustc --version | cut -d' ' -f2)" \
    --reference "ghcr.io/heddle-mesh/heddle:$version" --source "$source" --revision "$revision" --created "$created" --out "$1"
}

if [ "$profile" = release ]; then built=$target/reproducible; else built=$target; fi
say "building the programs ($profile)"
build "$PWD" "$built"
cargo metadata --format-version 1 --locked --filter-platform "$host" >"$work/metadata"
for program in "${programs[@]}"; do
  cargo tree --quiet --locked --edges normal,no-proc-macro --target "$host" --prefix none --format '{p}' -p "$program"
done | sort -u >"$work/tree"
write "$image"

if [ -n "$check" ]; then
  if [ "$profile" = release ]; then
    say "building them again, from a checkout and in a target folder elsewhere"
    mkdir "$work/elsewhere"
    git ls-files -z | tar --create --null --files-from=- | tar --extract --directory="$work/elsewhere"
    build "$work/elsewhere" "$work/target"
  fi
  write "$work/second.tar"
  cmp "$image" "$work/second.tar" >&2 || fail "made twice, and the bytes differ"
  say "made twice: the same bytes"
  python3 images/check.py "$image" node-proxy/redirect/tests/golden/*.nft
fi
echo "$image"
