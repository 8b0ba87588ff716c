# Every command of this project: `make` lists them, and each sets up what it needs.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One thing after another, since cargo uses every core by itself; but `make test` runs some suites side by side.
ifndef PARALLEL
.NOTPARALLEL:
endif

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

.PHONY: lib lua cli header abi clean
system := $(shell uname)

# What is installed contains no paths of the machine that built it, so the same sources give the same bytes in any folder.
# Messages of panics, which have such paths, name files of crates, and those of Rust's own library as they are named
# where its sources are not installed. (In `vendor` are the crates of the source tarball.) Cargo takes flags apart at
# spaces, so a folder that has one is left as it is. It compiles all again where flags differ, as they must not between
# clones that share a target folder (tests/rocks).
no-paths = $(if $(wildcard vendor),$(call renamed,$(CURDIR)/vendor,crates)) \
    $(call renamed,$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src,crates) \
    $(call renamed,$(shell rustc --print sysroot)/lib/rustlib/src/rust,/rustc/$(shell rustc -vV | sed -n 's/^commit-hash: //p'))
renamed  = $(if $(filter 1,$(words $1)),--remap-path-prefix=$1=$2)

lib: target/lib/libluat_kv.$(if $(filter Darwin,$(system)),dylib,so) man ## builds the C library, all that `make install` installs: target/lib/libluat_kv.so and .a

# What cargo links has no SONAME and no symbol versions, since rustc brings a version script of its own and linkers take
# one only. So both libraries are made from the one archive that cargo writes: all that our functions need becomes one
# object, in which no other name is seen. A program may link it beside another SQLite, or another Rust library. (Groups
# of sections that linkers keep once for all are dissolved, since ours would be thrown away in favour of another's.)
# (What is removed is LLVM's bitcode in Rust's own library, which binutils' plugin for it chokes on.)
sources   := $(shell find src -name '*.rs') build.rs Cargo.toml Cargo.lock
version   := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
abi       := $(shell sed -n 's/^\#define LUAT_KV_ABI_VERSION //p' include/luat_kv.h)
functions := $(shell sed -n 's/^ *\(luat_kv_[a-z0-9_]*\);/\1/p' include/luat_kv.map)
ifeq ($(system),Darwin)
include make/macos.mk
else
target/lib/libluat_kv.a: export CARGO_BUILD_RUSTFLAGS = $(no-paths)
target/lib/libluat_kv.a: from := release
target/lib/libluat_kv.a: cargo := --release
# For tests: with panics on demand, and rustc's own checks.
target/hooked/libluat_kv.a: from := debug
target/hooked/libluat_kv.a: cargo := --features debug-hooks
target/lib/libluat_kv.a target/hooked/libluat_kv.a: $(sources) include/luat_kv.map Makefile
	@$(MAKE) --no-print-directory toolchain # and not for `sudo make install`
	cargo rustc --lib --crate-type staticlib $(cargo)
	@mkdir -p $(@D) && rm -f $@
	@ld -r --force-group-allocation --gc-sections $(functions:%=-u %) -o $(@D)/luat_kv.o target/$(from)/libluat_kv.a
	objcopy --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd \
	    --wildcard --keep-global-symbol='luat_kv_*' $(@D)/luat_kv.o
	ar rcsD $@ $(@D)/luat_kv.o
target/lib/libluat_kv.so target/hooked/libluat_kv.so: %.so: %.a
	$(CC) -shared -o $@.$(version) $(@D)/luat_kv.o -Wl,-soname,libluat_kv.so.$(abi) \
	    -Wl,--version-script=include/luat_kv.map -Wl,--gc-sections -Wl,-O1 -Wl,-z,nodelete,-z,relro,-z,now \
	    -Wl,--build-id -Wl,--as-needed $(link-needs) $(LDFLAGS)
	strip $@.$(version)
	ln -sf libluat_kv.so.$(version) $@.$(abi)
	ln -sf libluat_kv.so.$(abi) $@
link-needs := -lpthread -ldl -lm
endif

lua: target/lua/$(LUA)/luat_kv.so ## builds the Lua module: target/lua/5.4/luat_kv.so; LUA=5.1 5.2 5.3 5.5 jit for another Lua

# The package in lua/module links the binding to the core, which is compiled once for all Luas: without the C interface,
# so in a folder of its own. Cargo writes a cdylib to the same file whatever its features, and may later hand out another
# Lua's as its own (rust-lang/cargo#6313), so the file of the build before goes first.
built   := target/lua/build/lua
module   = --package luat_kv_lua --features lua$(subst .,,$1)
module-sources := $(sources) lua/module/Cargo.toml lua/module/lib.rs lua/luat_kv_ffi/plain.lua lua/luat_kv_ffi/retry.lua
$(LUAS:%=target/lua/%/luat_kv.so): export CARGO_BUILD_RUSTFLAGS = $(no-paths)
$(LUAS:%=target/lua/%/luat_kv.so): target/lua/%/luat_kv.so: $(module-sources) | toolchain
	rm -f $(built)/libluat_kv_lua.so $(built)/deps/libluat_kv_lua.so
	cargo build --profile lua $(call module,$*) --target-dir target/lua/build
	install -D $(built)/libluat_kv_lua.so $@

# Beside the C library, which it is the same code as. Where the two are built in turn cargo notices, and builds the
# library again for each.
cli: export CARGO_BUILD_RUSTFLAGS = $(no-paths)
cli: toolchain ## builds the command-line tool: target/release/luat-kv
	cargo build --release $(features-cli) --bin luat-kv

header: need-header ## writes include/luat_kv.h anew from src/ffi, and from it what LuaJIT and JavaScript are told of it
	LUAT_KV_WRITE_HEADER=1 cargo test --test header
	lua5.4 lua/tools/declare.lua >target/declared && cp target/declared lua/luat_kv_ffi/cdef.lua
	cp include/luat_kv.h bindings/node/src
	node web/scripts/declare.js <include/luat_kv.h >target/declared && cp target/declared web/src/abi.js

abi: need-abi ## records what is new in the ABI, and compatible: tests/abi
	tests/abi/run record

clean: ## removes all that was built
	rm -rf target

# ---- To look at

.PHONY: demo demo-postgres
lua_cpath = LUA_CPATH='$(CURDIR)/target/lua/$1/?.so;;'

# The folder is a project of its own, since it has a luat.toml: the store lies in it.
demo: need-demo target/lua/5.4/luat_kv.so ## runs the blog example on a stock Lua, twice: the second run finds the first one's posts
	@rm -rf target/demo && mkdir -p target/demo && touch target/demo/luat.toml
	@cd target/demo && for run in first second; do \
	    printf '\n--- %s process: lua5.4 lua/examples/blog.lua\n' $$run; \
	    $(call lua_cpath,5.4) lua5.4 ../../lua/examples/blog.lua || exit; \
	done

# Two folders stand for two machines: what both know is the URL in their luat.toml.
demo-postgres: need-demo-postgres target/lua/5.4/luat_kv.so ## runs the blog in two folders that share nothing but a PostgreSQL server, started for it
	@rm -rf target/demo && mkdir -p target/demo/one target/demo/two
	@$(call lua_cpath,5.4) tests/postgres/with-server sh -ec 'for machine in one two; do cd target/demo/$$machine; \
	    printf "[kv]\nurl = \"%s\"\n" "$$LUAT_KV_TEST_POSTGRES" >luat.toml; \
	    printf "\n--- machine %s: lua5.4 lua/examples/blog.lua\n" $$machine; \
	    lua5.4 ../../../lua/examples/blog.lua; cd ../../..; done'

include make/docs.mk make/install.mk make/hosts.mk make/dist.mk make/packages.mk make/wasm-lua.mk make/playground.mk make/wasm.mk make/adapters.mk make/apps.mk make/servers.mk make/test.mk make/bench.mk make/faults.mk make/postgres.mk make/sanitizers.mk make/fuzz.mk make/needs.mk
