# Every command of this project: `make` lists them, and each sets up what it needs.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One thing after another: cargo uses every core by itself.
.NOTPARALLEL:

# Outputs lie where this file says, whatever the environment says.
export CARGO_TARGET_DIR := target

# The Lua that `make lua` builds for. Demo, tests and bench run 5.4.
LUA  := 5.4
LUAS := 5.1 5.2 5.3 5.4 5.5 jit
$(if $(filter $(LUA),$(LUAS)),,$(error LUA=$(LUA) is unknown: choose one of $(LUAS)))

.PHONY: help
help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z].*:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nThe tests are made of suites, and each is a target too:\n'
	@echo $(SUITES) | fold -s -w 76 | sed 's/^/  /'

# ---- Builds

.PHONY: lib lua cli header clean
lib: toolchain ## builds the C library: target/release/libluat_kv.so and .a
	cargo build --release

lua: target/lua/$(LUA)/luat_kv.so ## builds the Lua module: target/lua/5.4/luat_kv.so; LUA=5.1 5.2 5.3 5.5 jit for another Lua

# Cargo writes a cdylib to the same file whatever its features, and may later hand out another variant's as its own
# (rust-lang/cargo#6313). So modules are built apart from the C library, in one folder for all Luas since SQLite is the
# same for each, and the file of the build before goes first.
built   := target/lua/build/release
sources := $(shell find src -name '*.rs') build.rs Cargo.toml Cargo.lock
module   = --no-default-features --features sqlite,module,lua$(subst .,,$1)
$(LUAS:%=target/lua/%/luat_kv.so): target/lua/%/luat_kv.so: $(sources) | toolchain
	rm -f $(built)/libluat_kv.so $(built)/deps/libluat_kv.so
	cargo build --release $(call module,$*) --target-dir target/lua/build
	install -D $(built)/libluat_kv.so $@

# Beside the C library, which it is the same code as. Where the two are built in turn cargo notices, and builds the
# library again for each; libluat_kv.so and .a stay what `make lib` made of them.
cli: toolchain ## builds the command-line tool: target/release/luat-kv
	cargo build --release $(features-cli) --bin luat-kv

header: toolchain ## writes include/luat_kv.h anew from src/ffi
	LUAT_KV_WRITE_HEADER=1 cargo test --test header

clean: ## removes all that was built
	rm -rf target

# ---- To look at

.PHONY: demo bench
lua_cpath = LUA_CPATH='$(CURDIR)/target/lua/$1/?.so;$(CURDIR)/target/bench/?.so;;'

# The folder is a project of its own, since it has a luat.toml: the store lies in it.
demo: need-demo target/lua/5.4/luat_kv.so ## runs the blog example on a stock Lua, twice: the second run finds the first one's posts
	@rm -rf target/demo && mkdir -p target/demo && touch target/demo/luat.toml
	@cd target/demo && for run in first second; do \
	    printf '\n--- %s process: lua5.4 lua/examples/blog.lua\n' $$run; \
	    $(call lua_cpath,5.4) lua5.4 ../../lua/examples/blog.lua || exit; \
	done

# The baseline takes SQLite from our static library: both sides run the very same build of it.
bench: need-bench lib target/lua/5.4/luat_kv.so ## measures the store from Rust, then from Lua beside a minimal C function
	cargo bench --bench store
	@rm -rf target/bench && mkdir -p target/bench
	$(CC) -std=c99 -O2 $(warnings) -shared -fPIC -I/usr/include/lua5.4 bench/baseline.c $(link-static) \
	    -Wl,--exclude-libs,ALL -Wl,--gc-sections -o target/bench/baseline.so
	$(call lua_cpath,5.4) lua5.4 bench/bench.lua target/bench
	@rm -rf target/bench

# ---- Tests: suites, each run and counted by tests/tally

.PHONY: test lint test-header test-rust test-cli test-c test-lua test-readme test-exports
lint         := fmt clippy-default clippy-core clippy-cli clippy-lua doc-default doc-lua
test-header  := header-c header-c++
test-rust    := rust-default rust-core
test-cli     := cli-commands
test-c       := $(foreach link,shared static,$(patsubst tests/c/test_%.c,c-$(link)-%,$(wildcard tests/c/test_*.c)))
test-lua     := $(patsubst %,lua-%,$(filter-out 5.5,$(LUAS))) lua-starved
test-readme  := readme
test-exports := exports-c exports-lua
SUITES       := $(lint) $(test-header) $(test-rust) $(test-cli) $(test-c) $(test-lua) $(test-readme) $(test-exports)
.PHONY: $(SUITES)

test: need-test ## runs every test; the last line is "N passed, N failed"; V=1 shows all output
	@rm -rf target/test
	@$(MAKE) --no-print-directory --keep-going $(SUITES) || :
	@echo; tests/tally total $(SUITES)

lint: $(lint) ## rustfmt, clippy and rustdoc, all warnings being errors
test-header: $(test-header) ## the header alone, as C99 and as C++17
test-rust: $(test-rust) ## unit and property tests; the committed header against a fresh one
test-cli: $(test-cli) ## the command-line tool, on real files, pipes and terminals
test-c: $(test-c) ## tests/c on the shared and on the static library
test-lua: $(test-lua) ## tests/lua on each stock Lua that Debian has
test-readme: $(test-readme) ## the Lua and the C in README.md, as they stand
test-exports: $(test-exports) ## that the libraries export our names only

$(SUITES): need-test

features-default :=
features-core    := --no-default-features
features-cli     := --features cli
features-lua     := $(call module,5.4)
warnings         := -pedantic -Wall -Wextra -Werror

fmt:
	@tests/tally check $@ cargo fmt --check
clippy-default clippy-core clippy-cli clippy-lua: clippy-%:
	@tests/tally check $@ cargo clippy --all-targets $(features-$*) -- -D warnings
doc-default doc-lua: doc-%:
	@tests/tally check $@ env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps $(features-$*)

header-c:
	@tests/tally check $@ $(CC) -std=c99 $(warnings) -fsyntax-only -x c -include include/luat_kv.h /dev/null
header-c++:
	@tests/tally check $@ $(CXX) -std=c++17 $(warnings) -fsyntax-only -x c++ -include include/luat_kv.h /dev/null

rust-default rust-core: rust-%:
	@tests/tally cargo $@ cargo test --no-fail-fast $(features-$*)

# Its own tests only: the library's are the same with it.
cli-commands:
	@tests/tally cargo $@ cargo test --no-fail-fast $(features-cli) --bin luat-kv --test cli

# A C program is compiled within its suite, so that one that doesn't compile counts as failed.
link-shared := -Ltarget/release -lluat_kv -Wl,-rpath,\$$ORIGIN/../release
link-static := target/release/libluat_kv.a -lpthread -ldl -lm
run-c = mkdir -p target/c; tests/tally tap $@ sh -ec '$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -g $(warnings) \
    -Iinclude tests/c/test_$1.c $2 -o target/c/$@; target/c/$@'
$(filter c-shared-%,$(test-c)): c-shared-%: lib
	@$(call run-c,$*,$(link-shared))
$(filter c-static-%,$(test-c)): c-static-%: lib
	@$(call run-c,$*,$(link-static))

$(filter-out lua-starved,$(test-lua)): lua-%: target/lua/%/luat_kv.so
	@$(call lua_cpath,$*) tests/tally tap $@ lua$* tests/lua/run.lua -o tap
lua-starved: target/lua/5.4/luat_kv.so
	@mkdir -p target/c; $(call lua_cpath,5.4) tests/tally tap $@ sh -ec '$(CC) -std=c99 -g $(warnings) \
	    -I/usr/include/lua5.4 tests/lua/starved.c -llua5.4 -o target/c/$@; target/c/$@'

readme: lib target/lua/5.4/luat_kv.so
	@$(call lua_cpath,5.4) tests/tally tap $@ tests/readme

exports-c: lib
	@tests/tally check $@ tests/exports target/release/libluat_kv.so luat_kv_
exports-lua: target/lua/5.4/luat_kv.so
	@tests/tally check $@ tests/exports $< luaopen_luat_kv

# ---- What this needs from the machine

packages-demo  := lua5.4
packages-test  := lua5.1 lua5.2 lua5.3 lua5.4 luajit liblua5.4-dev lua-unit lua-cjson sqlite3 g++ binutils util-linux
packages-bench := lua5.4 lua-cjson liblua5.4-dev

# How to see that a Debian package, or the same thing from elsewhere, is there.
has-lua5.1        := command -v lua5.1
has-lua5.2        := command -v lua5.2
has-lua5.3        := command -v lua5.3
has-lua5.4        := command -v lua5.4
has-luajit        := command -v luajit
has-lua-unit      := lua5.4 -l luaunit -e ''
has-lua-cjson     := lua5.4 -l cjson -e ''
has-sqlite3       := command -v sqlite3
has-g++           := command -v g++
has-binutils      := command -v nm
has-util-linux    := command -v setpriv
has-liblua5.4-dev := test -f /usr/include/lua5.4/lua.h

.PHONY: deps need-demo need-test need-bench components toolchain
deps: need-demo need-test need-bench ## installs what demo, test and bench need from Debian, as they do by themselves

need-demo need-test need-bench: need-%: toolchain
	@lack=; $(foreach p,$(packages-$*),$(has-$p) >/dev/null 2>&1 || lack="$$lack $p";) \
	[ "$$lack" ] || exit 0; \
	install="apt-get install -y --no-install-recommends$$lack"; \
	if [ "$$(id -u)" = 0 ]; then root=; \
	elif sudo -n true 2>/dev/null; then root='sudo -n'; \
	else echo "make $* needs$$lack. Please run: sudo apt-get update && sudo $$install" >&2; exit 1; fi; \
	echo "make $* needs$$lack: installing with apt-get"; \
	$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive $$install -qq >/dev/null

need-test: components
components: toolchain
	@{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy

toolchain:
	@command -v cargo >/dev/null || { echo 'cargo is missing. Please install Rust, with rustup for example' >&2; exit 1; }
	@command -v $(firstword $(CC)) >/dev/null || { echo '$(CC) is missing. Please install a C compiler: apt-get install gcc libc6-dev' >&2; exit 1; }
