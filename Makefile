# The front door. Each target installs what it needs by Debian package name (scripts/setup).
# In CI the builds are kept outside of the checkout, so that the next run finds them.
export CARGO_TARGET_DIR ?= $(if $(CI),$(HOME)/.cache/faros/target,$(CURDIR)/target)

help:           ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

build:          ## farosd and farosctl, optimized
	@scripts/setup build
	cargo build --release -p farosd -p farosctl

demo:           ## a whole site on this machine: an empty disk becomes a node of a cluster, and a pod on it answers
	@scripts/setup demo
	@scripts/setup kubernetes
	cargo build --release -p farosd -p farosctl -p faros-lab
	scripts/with-go $(CARGO_TARGET_DIR)/release/faros-lab demo $(DEMO_ARGS)

demo-quick:     ## the part before Kubernetes: encrypted disks, a thief, a lockdown
	@scripts/setup demo
	cargo build --release -p farosd -p farosctl -p faros-lab
	$(CARGO_TARGET_DIR)/release/faros-lab demo --quick $(DEMO_ARGS)

check:          ## fast: format, lints, layers, unit tests
	@scripts/setup check
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --lib --bins

test:           ## everything that CI runs
	@scripts/setup test
	scripts/test

trouble:        ## emulated machines install themselves through power cuts, a bastion that dies, bonds, data disks and a TPM; long
	@scripts/setup test
	cargo test -p faros-conformance --test install --test hardware -- --ignored --nocapture
	cargo test -p faros-kernel --lib clock -- --ignored
	scripts/with-go cargo test -p faros-kubernetes --test build -- --ignored

cluster:        ## whole clusters in namespaces come up, also through trouble, and are kept; long
	@scripts/setup test
	scripts/with-go cargo test -p faros-conformance --test cluster -- --ignored --nocapture --test-threads 1 --skip conformance::

conformance:    ## Kubernetes' own conformance checks against a cluster in namespaces; long, and the first time builds them
	@scripts/setup test
	scripts/with-go cargo test -p faros-conformance --test cluster conformance:: -- --ignored --nocapture

bench:          ## figures beside the peers and against the promises; BENCH_ARGS=--quick for less
	@scripts/setup bench
	cargo build --release -p farosd -p farosctl -p faros-bench
	$(CARGO_TARGET_DIR)/release/faros-bench $(BENCH_ARGS)

.PHONY: help build demo demo-quick check test trouble cluster conformance bench
