#!/usr/bin/env bash
# Generates the Gateway API types (src/gateway/*.rs) and the schemas that files are checked against (schemas/*.json) from the
# CRDs of one Gateway API release, standard channel. Running it again must change nothing: `git diff --exit-code` afterwards.
#
# Needs: cargo, go (only to fetch the release through the module proxy, which pins its content by checksum), unzip.
# Overrides: GATEWAY_API_CRDS=DIR takes the CRDs from there; KOPIUM=FILE takes that kopium.
set -euo pipefail

version=v1.7.0
kopium_version=0.24.1
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/heddle/generate
mkdir -p "$cache"

fetch_crds() {
    local unpacked=$cache/gateway-api-$version
    if [ ! -d "$unpacked" ]; then
        # A module that asks for a newer Go than the one installed is reported as an error, but is downloaded all the same.
        GOFLAGS=-mod=mod GOTOOLCHAIN=local go mod download "sigs.k8s.io/gateway-api@$version" >&2 || true
        local zip
        zip=$(go env GOMODCACHE)/cache/download/sigs.k8s.io/gateway-api/@v/$version.zip
        [ -f "$zip" ] || { echo "generate.sh: could not fetch sigs.k8s.io/gateway-api@$version" >&2; exit 1; }
        unzip -q "$zip" "sigs.k8s.io/gateway-api@$version/config/crd/standard/*" -d "$unpacked.part"
        mv "$unpacked.part" "$unpacked"
    fi
    echo "$unpacked/sigs.k8s.io/gateway-api@$version/config/crd/standard"
}

fetch_kopium() {
    local root=$cache/kopium-$kopium_version
    [ -x "$root/bin/kopium" ] || cargo install --quiet --locked --root "$root" kopium --version "$kopium_version" >&2
    echo "$root/bin/kopium"
}

crds=${GATEWAY_API_CRDS:-$(fetch_crds)}
kopium=${KOPIUM:-$(fetch_kopium)}
cd "$here"

# file of the CRD, module of the type
while read -r plural module; do
    file=gateway.networking.k8s.io_$plural.yaml
    # Inside the folder, so that the generated header names no path of this machine.
    (cd "$crds" && "$kopium" -f "$file" --schema=disabled --api-version v1 -D Default -D PartialEq --smart-derive-elision) \
        > "src/gateway/$module.rs"
    rustfmt --edition 2024 "src/gateway/$module.rs"
    cargo run --quiet -p heddle-resources --example compact_schema -- v1 "$crds/$file" > "$cache/$module.json"
    mv "$cache/$module.json" "schemas/$module.json"
done <<END
gatewayclasses gateway_class
gateways gateway
grpcroutes grpc_route
httproutes http_route
referencegrants reference_grant
END
