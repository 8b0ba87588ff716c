# ---- WebAssembly: the same source, for JavaScript hosts and for Lua in a page

.PHONY: wasm
wasm: target/wasm/luat_kv.wasm ## builds the WebAssembly modules, with and without Lua: target/wasm/luat_kv_lua.wasm, luat_kv.wasm

# The standard library is rebuilt for size and without the messages of its panics; otherwise the module would be half as
# large again. That is still unstable, and RUSTC_BOOTSTRAP lets the stable compiler do it (see make/sanitizers.mk).
# (Compilers before 1.92 have another name for `immediate-abort`.)
rust-wasm      = RUSTC_BOOTSTRAP=1 $(if $(own-std),,$(debians-rust)) RUSTFLAGS='$(flags-wasm)$1' \
    cargo rustc --lib --no-default-features --profile wasm --target-dir target/wasm/build \
    -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size$(if $(aborts-at-once),,$(comma)panic_immediate_abort)
flags-wasm     = -Zunstable-options $(if $(own-std),,-Clinker-flavor=wasm-lld) \
    $(if $(aborts-at-once),-Cpanic=immediate-abort) -Zlocation-detail=none -Zfmt-debug=none
aborts-at-once = $(shell RUSTC_BOOTSTRAP=1 $(if $(own-std),rustc,/usr/bin/rustc) -Zunstable-options \
    -Cpanic=immediate-abort --print cfg >/dev/null 2>&1 && echo 1)

# Its sources are a component of rustup. If Rust comes from elsewhere, Debian's package of the sources is used.
own-std      = $(or $(wildcard $(rust-libraries)/src/rust/library/std/src/lib.rs),$(shell command -v rustup))
debians-rust = RUSTC=/usr/bin/rustc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19

# Features are enabled one by one: those that Node 20 and browsers of 2021 support. (`-all` would require features that
# only some have.) The far end of the stack is in the first KiB of memory, so that no address in use wraps around.
optimize-wasm = $(with-node) web/node_modules/.bin/wasm-opt -Oz --converge --strip-debug --strip-producers \
    --enable-bulk-memory --enable-mutable-globals --enable-nontrapping-float-to-int --enable-sign-ext \
    --enable-multivalue --enable-reference-types --low-memory-unused --strip-target-features

target/wasm/luat_kv.wasm: $(sources) make/wasm.mk web/node_modules/.package-lock.json | need-wasm
	$(call rust-wasm, -Clink-arg=--import-memory) --crate-type cdylib --target wasm32-unknown-unknown
	$(optimize-wasm) target/wasm/build/wasm32-unknown-unknown/wasm/luat_kv.wasm -o $@
	@install -m 644 $@ web/luat_kv.wasm

# Vite and the package's tools need a newer Node than Debian 12 has. npm provides one too.
node-20     := 20.20.2
node-cpu     = $(if $(filter aarch64,$(shell uname -m)),arm64,x64)
enough-node  = $(shell node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b > 18 ? 0 : 1)' \
    2>/dev/null && echo 1)
with-node    = $(if $(enough-node),,PATH='$(CURDIR)/target/wasm/node':"$$PATH")
.PHONY: node-20
node-20: need-wasm $(if $(enough-node),,target/wasm/node/node)
target/wasm/node/node: | need-wasm
	npm install --prefix target/wasm/node-20 --no-save --no-audit --no-fund node-linux-$(node-cpu)@$(node-20)
	ln -sfn node-20/node_modules/node-linux-$(node-cpu)/bin target/wasm/node

# The package itself also runs in Debian 12's Node, 18. If the machine has another one, it comes from npm.
node-18      = $(if $(shell node -v 2>/dev/null | grep '^v18\.'),node,$(CURDIR)/$(node-18-path))
node-18-path = target/wasm/node-18/node_modules/node-linux-$(node-cpu)/bin/node
.PHONY: node-18
node-18: need-wasm $(if $(filter node,$(node-18)),,$(node-18-path))
$(node-18-path): | need-wasm
	npm install --prefix target/wasm/node-18 --no-save --no-audit --no-fund node-linux-$(node-cpu)@18.20.8

%/node_modules/.package-lock.json: %/package-lock.json | node-20
	$(with-node) npm --prefix $* ci --ignore-scripts --no-audit --no-fund

.PHONY: bench-wasm
bench-wasm: need-browsers wasm ## measures the WebAssembly modules in Node and Chromium, beside a Map and unstorage, and tells their sizes
	@cd web && $(with-node) node bench/run.js $(BENCH)

# ---- Tests of the modules

compat-wasm := wasm-node-18 wasm-workerd wasm-deno wasm-bun wasm-compat
pages-wasm  := $(browsers:%=wasm-pages-%)
# They run two at a time, since much of their time is waiting. The longest come first. clippy-wasm and clippy-wasm-lua
# are apart from each other, because cargo locks the folder that both build in.
test-wasm   := clippy-wasm wasm-js wasm-compat clippy-wasm-lua playground-page $(browsers:%=playground-%) $(pages-wasm) \
    $(contract-wasm) $(filter-out wasm-compat,$(compat-wasm)) wasm-types
.PHONY: test-wasm clippy-wasm clippy-wasm-lua wasm-types wasm-js $(compat-wasm) $(pages-wasm)
test-wasm: need-browsers node-20 ## the WebAssembly modules and their package in browsers, runtimes and bundlers, the Lua contract on them, the playground
	@$(MAKE) --no-print-directory --keep-going PARALLEL=1 -j 2 --output-sync=target $(test-wasm)

clippy-wasm: as := --target wasm32-unknown-unknown
clippy-wasm-lua: as := --target wasm32-wasip1 --features lua54
clippy-wasm clippy-wasm-lua: components rust-src
	@RUSTC_BOOTSTRAP=1 tests/runner check $@ cargo clippy --lib --no-default-features $(as) --target-dir target/wasm/clippy \
	    -Zbuild-std=std,panic_abort -- -D warnings
wasm-types wasm-js: wasm
wasm-js wasm-compat: need-browsers
wasm-types:
	@tests/runner check $@ env $(with-node) npm --prefix web --silent run types
wasm-js:
	@tests/runner tap $@ env $(with-node) npm --prefix web --silent test

# Other runtimes and bundlers, all from npm: web/compat.
$(compat-wasm): wasm web/compat/node_modules/.package-lock.json
wasm-workerd wasm-deno wasm-bun: wasm-%:
	@tests/runner tap $@ env $(with-node) node web/compat/run.js $*
wasm-node-18: node-18
	@tests/runner tap $@ $(node-18) web/compat/run.js node
wasm-compat:
	@tests/runner tap $@ env $(with-node) npm --prefix web/compat --silent test

# In pages, and in their workers.
$(pages-wasm): wasm-pages-%: need-browsers wasm
	@tests/runner tap $@ env $(with-node) node --test-reporter=tap web/test/pages-run.js $*
