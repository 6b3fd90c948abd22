# Heddle's commands. `make help` lists them.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c

# Built files live outside the checkout, so that a fresh clone finds them again.
export CARGO_TARGET_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/heddle/target
export CARGO_TERM_COLOR ?= always

.PHONY: help demo test lint golden bench microbench images charts cluster cluster-down cluster-test conformance interop deny generate fmt

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## The whole mesh on this machine: two nodes, the lesson's YAML, a live table (DEMO="--check" takes the tour)
	@scripts/demo.sh $(DEMO)

test: ## All checks and tests; the last lines count them
	@scripts/test.sh

lint: ## Format, clippy with warnings denied, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

fmt: ## Formats the code
	cargo fmt --all

golden: ## Writes the golden files anew; look at the difference before you commit it
	HEDDLE_UPDATE_GOLDEN=1 cargo test --locked -p heddle-resolve -p heddle-translate --test golden

bench: ## Heddle's data path beside Envoy's, haproxy's and nginx', on this machine: CPU per request, ratios
	@scripts/bench.sh

microbench: ## Pieces of the data path by themselves, by criterion (FILTER=policy takes some only)
	@scripts/microbench.sh $(FILTER)

cluster: ## A three-node Kubernetes on this machine (root, Go): starts it, prints its kubeconfig's path, and stays
	@scripts/cluster.sh up

cluster-down: ## Ends that cluster; nothing of it is left
	@scripts/cluster.sh down

cluster-test: ## Tests the cluster, and Heddle on it, from up to down
	@scripts/cluster.sh test

conformance: ## The Gateway API mesh conformance suite, 1.7.0 and 1.6.3, against Heddle on the running cluster
	@scripts/conformance.sh
	@scripts/conformance.sh --suite 1.6.3

interop: ## Heddle against programs of others, and the xDS protocol suite (PART="xds load" takes some parts only)
	@scripts/interop.sh $(PART)

images: ## The container image as a tar file, with its SBOM (needs no container engine)
	@scripts/images.sh

charts: ## Lints and renders the charts
	@scripts/charts.sh

deny: ## Licences, sources and duplicates of dependencies (installs cargo-deny if absent)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny --version 0.20.2
	cargo deny check bans licenses sources

generate: ## Generates the Gateway API types anew from the published CRDs (needs Go)
	control-plane/resources/generate.sh
