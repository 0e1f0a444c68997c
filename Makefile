# The commands of Milepost. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help tools site build run dev fmt check tidy unit fuzz test e2e audit bench soak

TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release/milepost
BENCH ?= throughput live commands images

help: ## list the commands
	@awk -F':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## install what the build needs (pinned, from the registries, skipped when present)
	@scripts/tools

site: tools ## build what the browser loads, and print what it weighs
	@scripts/site

build: site ## build target/release/milepost: one executable with the site inside
	@# The site is embedded at compile time: touch what embeds it where the site is newer than the executable.
	@[ ! -e $(BIN) ] || [ target/site/pkg/manifest.json -ot $(BIN) ] || touch src/server/assets.rs
	@cargo build --locked --release --bin milepost
	@ls -l $(BIN) | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

run: build ## build and serve on http://127.0.0.1:3000, data in ./data
	@$(BIN) serve

dev: tools ## serve and rebuild on change, with cargo-leptos (install it yourself: cargo install cargo-leptos)
	@command -v cargo-leptos >/dev/null || { echo "cargo-leptos is missing: cargo install cargo-leptos --version 0.3.10 --locked"; exit 1; }
	@# cargo-leptos writes unhashed names: a manifest of hashed ones would hide them.
	@rm -rf target/site target/site.stamp
	@PATH="$$PWD/node_modules/.bin:$$PATH" cargo leptos watch -- serve

fmt: ## format all code
	@cargo fmt --all

check: tools ## rustfmt, types of the browser tests, clippy for both targets with warnings denied, unused dependencies, tidy test
	@scripts/tools check
	@cd end2end && npx tsc --noEmit
	@cargo fmt --all --check
	@cargo clippy --locked --all-targets --features failpoints -- -D warnings
	@cargo clippy --locked --lib -- -D warnings
	@cargo clippy --locked --lib --no-default-features --features hydrate \
	  --target wasm32-unknown-unknown --target-dir $(TARGET)/front -- -D warnings
	@scripts/unused
	@$(MAKE) --no-print-directory tidy

tidy: ## the house rules: rooms, directions, sizes, docs
	@cargo test --locked --features failpoints --test it tidy

unit: ## all Rust tests, on SQLite and on a Postgres of their own (MILEPOST_TEST_POSTGRES=off leaves that out)
	@scripts/tools postgres
	@scripts/tools clock
	@scripts/tools s3
	@scripts/tools proxies
	@scripts/tools clients
	@scripts/tools fuzz
	@cargo test --locked --features failpoints

fuzz: ## the API by schemathesis, as admin, operator and viewer (about three minutes; a part of `unit`)
	@scripts/tools fuzz
	@cargo test --locked --features failpoints --test it -- --nocapture fuzz::

soak: ## the long runs: kills, freezes, restarts, faults, cuts and random acts, SOAK times (10) as many as `unit` does
	@scripts/tools postgres
	@PROPTEST_CASES=$${PROPTEST_CASES:-2000} cargo test --locked --features failpoints --lib store::tests::model
	@SOAK=$${SOAK:-10} cargo test --locked --features failpoints --test it -- \
	  --nocapture --test-threads=1 nodes:: crash:: faults:: live_cuts::

test: check unit build e2e ## everything: check, Rust tests, release build, browser tests
	@[ "$$MILEPOST_TEST_POSTGRES" != off ] || echo "left out: what needs Postgres (MILEPOST_TEST_POSTGRES=off)"
	@[ "$$MILEPOST_TEST_PROXIES" != off ] || echo "left out: what needs nginx and Caddy (MILEPOST_TEST_PROXIES=off)"
	@[ "$$MILEPOST_TEST_S3" != off ] || echo "left out: what needs an S3 server (MILEPOST_TEST_S3=off)"
	@[ "$$MILEPOST_TEST_FUZZ" != off ] || echo "left out: the fuzzer (MILEPOST_TEST_FUZZ=off)"
	@[ "$$MILEPOST_TEST_CLIENTS" != off ] || echo "left out: the documented clients (MILEPOST_TEST_CLIENTS=off)"

e2e: build ## browser tests against the release executable
	@scripts/tools browser
	@cd end2end && MILEPOST_BIN=$(abspath $(BIN)) npx playwright test

audit: ## licences, bans, sources and (where their database can be reached) advisories of all dependencies
	@scripts/audit

bench: build ## speed, memory, the live side, declared tasks and pictures beside the raw limits (BENCH=throughput, live, commands or images for one)
	@for bench in $(BENCH); do MILEPOST_BIN=$(abspath $(BIN)) cargo bench --locked --bench $$bench || exit 1; done
