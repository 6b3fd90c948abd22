#!/usr/bin/env bash
# Builds Heddle's container image as an OCI layout in a tar file, with its SBOM beside it, and prints the tar file's path.
#   scripts/images.sh [--profile release|dev] [--out FILE] [--check] | --test
# --check builds the image twice and compares; --test runs the tests of the image writer.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heddle
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
profile=release out= check=
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --check) check=yes; shift ;;
    --test) exec python3 -m unittest discover --start-directory images --pattern 'test_*.py' --verbose ;;
    *) echo "images: unknown option $1" >&2; exit 2 ;;
  esac
done
source scripts/prerequisites.sh >&2
command -v strip >/dev/null || { echo "images: strip is missing. On Debian: apt-get install binutils" >&2; exit 1; }

case $profile in
  release) folder=release ;;
  dev) folder=debug ;;
  *) echo "images: the profile is release or dev" >&2; exit 2 ;;
esac
if [ "$profile" = release ]; then
  # Panics name source files: by paths that do not depend on where the checkout and the registry lie. Such a build has a folder of its own.
  export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$PWD=/heddle"$'\x1f'"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  CARGO_TARGET_DIR=$CARGO_TARGET_DIR/images
fi
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
out=${out:-$CARGO_TARGET_DIR/images/heddle-$version.tar}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "images: building the programs ($profile)" >&2
mkdir "$work/programs"
for package in heddle-control-plane heddle-node-proxy heddle-cni heddle; do
  # The C library is chosen when a program is linked: what was compiled for other builds serves here too.
  cargo rustc --locked --quiet --profile "$profile" -p "$package" --bin "$package" -- -C target-feature=+crt-static >&2
  strip -o "$work/programs/$package" "$CARGO_TARGET_DIR/$folder/$package"
done
cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" >"$work/metadata.json"

tools=() packages=()
for tool in nft ip; do
  path=$(readlink -f "$(command -v "$tool")")
  tools+=(--tool "$path")
done
if command -v dpkg-query >/dev/null; then
  while read -r entry; do packages+=(--tool-package "$entry"); done < <(
    for tool in nft ip; do path=$(readlink -f "$(command -v "$tool")"); echo "$path"; ldd "$path" | grep -o '/[^ ]*'; done |
      while read -r file; do dpkg-query --search "$(readlink -f "$file")" 2>/dev/null || dpkg-query --search "$file" 2>/dev/null; done |
      sed 's/:.*//' | sort -u | while read -r name; do dpkg-query --show --showformat '${Package}=${Version}\n' "$name"; done | sort -u)
fi
write() {
  python3 images/image.py --programs "$work/programs" "${tools[@]}" "${packages[@]}" --metadata "$work/metadata.json" \
    --reference "ghcr.io/heddle-mesh/heddle:$version" --revision "$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --created "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}" --out "$1"
}
write "$out"
if [ -n "$check" ]; then
  for package in heddle-control-plane heddle-node-proxy heddle-cni heddle; do
    touch "$(cargo metadata --format-version 1 --no-deps | python3 -c "import json,sys; print(next(t['src_path'] for p in json.load(sys.stdin)['packages'] if p['name']=='$package' for t in p['targets'] if 'bin' in t['kind']))")"
    cargo rustc --locked --quiet --profile "$profile" -p "$package" --bin "$package" -- -C target-feature=+crt-static >&2
    strip -o "$work/programs/$package" "$CARGO_TARGET_DIR/$folder/$package"
  done
  write "$work/second.tar"
  cmp "$out" "$work/second.tar" || { echo "images: the second build differs" >&2; exit 1; }
  echo "images: built twice, the same bytes" >&2
fi
echo "$out"
