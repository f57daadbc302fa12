# Two commands do everything on a fresh Debian 12 machine with Rust: `make testnet` and `make test`.
# Both install what is missing first.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build testnet test zoo format lint docs dependencies check prove clean

# The compiled RocksDB library is kept outside the target folder: it takes far longer to build than
# everything else together, and Cargo would build it again for each set of features.
ROCKSDB := source scripts/rocksdb.sh
CARGO_FLAGS := --release --locked --workspace

help: ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## install what is missing: C++ compiler, libclang, the compiled RocksDB library
	@scripts/setup.sh
	@$(ROCKSDB) && echo "RocksDB library: $$ROCKSDB_LIB_DIR"

build: setup ## build both programs
	@$(ROCKSDB) && cargo build $(CARGO_FLAGS)

testnet: build ## run four validators on this machine (ARGS="…" is passed on; see `quorate testnet --help`)
	@exec "$${CARGO_TARGET_DIR:-target}/release/quorate" testnet $(ARGS)

test: setup ## set up and run all tests
	@$(ROCKSDB) && cargo test $(CARGO_FLAGS) --no-fail-fast

zoo: setup ## plant bugs in the product, and see that the simulator finds each (ARGS="--only NAME")
	@$(ROCKSDB) && cargo run --release --locked -p quorate-simulator --features zoo --example zoo -- $(ARGS)

format: ## check the formatting
	cargo fmt --all --check

lint: setup ## check the code; warnings are errors
	@$(ROCKSDB) && cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

docs: setup ## build the reference; warnings are errors
	@$(ROCKSDB) && RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps

dependencies: ## check versions, licences and sources of all dependencies
	@scripts/setup.sh cargo-deny
	cargo fetch --quiet --locked
	cargo deny --offline --all-features check bans licenses sources
	@tree=$$(cargo tree --locked -p quorate-wallet-cli -e normal --prefix none) || exit 1; \
		if grep -qE '^(librocksdb-sys|rocksdb) ' <<<"$$tree"; then echo "the wallet links RocksDB"; exit 1; fi

check: format lint docs dependencies test ## everything that must pass before a commit

prove: setup ## run the whole list of what the simulator must prove, and write docs/proof-run.md (100 minutes)
	@scripts/prove.sh

clean: ## remove what was built here (the kept RocksDB library stays)
	cargo clean
