# ---- Tests: suites, which the test runner (tests/runner) runs and counts

# The user's settings for the store must not affect the tests.
unexport LUAT_KV_DB LUAT_KV_NAMESPACE LUAT_KV_TRUSTED_PROJECT

.PHONY: test lint test-header test-rust test-cli test-c test-lua test-rocks test-readme test-exports test-install test-setup test-abi test-docs check-cross
lint         := fmt clippy-default clippy-core clippy-cli clippy-lua clippy-module clippy-faults doc-default doc-lua
test-header  := header-c header-c++
test-rust    := rust-default rust-core
test-cli     := cli-commands
test-c       := $(foreach link,shared static,$(patsubst tests/c/test_%.c,c-$(link)-%,$(wildcard tests/c/test_*.c))) c-panic \
                c-instructions
test-lua     := $(LUAS:%=lua-%) lua-mixed lua-panic lua-quick lua-starved lua-instructions
test-rocks   := rocks
test-readme  := readme
test-exports := exports-shared exports-static exports-lua exports-portable
test-install := install-tree
test-setup   := setup runner version
test-abi     := abi-promise
check-cross  := cross
test-docs    := docs-man docs-doxygen docs-links docs-messages docs-site docs-c
# Most suites run one after another, since they build the same things or use every core. The others run two at a time.
one-by-one    = $(lint) $(test-header) $(test-rust) $(test-cli) $(test-lua) $(test-rocks) $(test-readme) $(test-exports) \
                $(test-install) $(test-setup) $(test-abi) $(test-docs) $(apps) $(servers)
two-at-a-time = $(test-hosts) $(test-wasm) $(test-adapters) $(check-cross) $(test-c) $(sanitized) $(faults) $(fuzz) \
                $(postgres) $(test-dist)
SUITES        = $(one-by-one) $(two-at-a-time)
.PHONY: $(SUITES)

test: need-test ## runs every test; the last line is "N passed, N failed"; V=1 shows all output
	@rm -rf target/test
	@$(MAKE) --no-print-directory --keep-going $(one-by-one) || :
	@$(MAKE) --no-print-directory --keep-going PARALLEL=1 -j 2 --output-sync=target $(two-at-a-time) || :
	@echo; tests/runner total $(SUITES)

# For each change: what finds most faults in the shortest time, on builds without optimization, which need no link-time
# optimization of the whole program. It needs Rust, a C compiler and lua5.4.
quick := fmt clippy-default rust-unit header-c c-quick lua-quick
.PHONY: quick $(quick)
quick: need-demo ## a part of the tests, in less than two minutes, that needs only Rust, cc and lua5.4
	@rm -f $(quick:%=target/test/%.count)
	@$(MAKE) --no-print-directory --keep-going $(quick) || :
	@echo; tests/runner total $(quick)

lint: $(lint) ## rustfmt, clippy and rustdoc, all warnings being errors
test-header: $(test-header) ## the header alone, as C99 and as C++17
test-rust: $(test-rust) ## unit and property tests; the committed header against a fresh one
test-cli: $(test-cli) ## the command-line tool, on real files, pipes and terminals
test-c: $(test-c) ## tests/c on the shared and on the static library
test-lua: $(test-lua) ## tests/lua on the stock interpreter of each Lua
test-rocks: $(test-rocks) ## LuaRocks: the rockspec, in the source rock of what is committed
test-readme: $(test-readme) ## the Lua in README.md, as it stands
test-exports: $(test-exports) ## that the libraries export our names only, and that those for older systems need no more than these have
test-install: $(test-install) ## what strangers build on an installed tree, with pkg-config and CMake
test-setup: $(test-setup) ## what make says and does where Rust, rights or a free apt are missing; the test runner itself; that every file has the same version
test-abi: $(test-abi) ## the ABI that was promised against the one that is
check-cross: $(check-cross) ## that the crate compiles for other platforms without warnings, and with the oldest Rust: docs/platforms.md
test-docs: $(test-docs) ## the manual pages and the HTML that the headers give, the links and messages in what there is to read, and the site of it all

$(SUITES): toolchain
$(lint): components
header-c++: need-c++
cli-commands: need-cli
$(filter-out c-panic c-instructions,$(test-c)): need-c
$(filter-out lua-panic lua-quick,$(test-lua)): need-lua
lua-panic lua-quick readme: need-demo
c-instructions lua-instructions: need-valgrind
rocks: need-rocks
$(test-exports): need-exports
install-tree docs-c: need-install
setup: need-setup
abi-promise: need-abi
docs-man: need-man
docs-doxygen: need-docs
docs-site: need-docs-site
docs-messages: need-docs-messages

# The runner's time limit is long enough for most suites, but these build much, or run everything under valgrind.
$(test-rust) cli-commands cross rocks $(test-lua) $(test-wasm) $(sanitized): export SUITE_SECONDS ?= 2400

features-default :=
features-core    := --no-default-features
features-cli     := --features cli
features-lua     := --no-default-features --features sqlite,module,lua54
features-module  := $(call module,5.4)
warnings         := -pedantic -Wall -Wextra -Werror

fmt:
	@tests/runner check $@ sh -ec 'cargo fmt --all --check; cargo fmt --check --manifest-path fuzz/Cargo.toml'
clippy-default clippy-core clippy-cli clippy-lua clippy-module: clippy-%:
	@tests/runner check $@ cargo clippy --all-targets $(features-$*) -- -D warnings
# The tests that Cargo leaves out of --all-targets, since plain `cargo test` does.
clippy-faults:
	@tests/runner check $@ cargo clippy --features debug-hooks --test faults --test postgres -- -D warnings
doc-default doc-lua: doc-%:
	@tests/runner check $@ env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items $(features-$*)

header-c:
	@tests/runner check $@ $(CC) -std=c99 $(warnings) -fsyntax-only -x c -include include/luat_kv.h /dev/null
header-c++:
	@tests/runner check $@ $(CXX) -std=c++17 $(warnings) -fsyntax-only -x c++ -include include/luat_kv.h /dev/null

rust-default rust-core: rust-%:
	@tests/runner cargo $@ cargo test --no-fail-fast $(features-$*)

# The unit tests, and the committed header.
rust-unit:
	@tests/runner cargo $@ cargo test --no-fail-fast --lib --test header

# Only its own tests: those of the library are the same with this feature.
cli-commands:
	@tests/runner cargo $@ cargo test --no-fail-fast $(features-cli) --bin luat-kv --test cli

# A C program is compiled within its suite, so one that does not compile counts as failed.
link-shared := -Ltarget/lib -lluat_kv -Wl,-rpath,\$$ORIGIN/../lib
link-static := target/lib/libluat_kv.a $(link-needs)
comma := ,
run-c = mkdir -p target/c; tests/runner tap $@ sh -ec '$(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -g $(warnings) \
    -Iinclude tests/c/$1.c $2 -o target/c/$@; target/c/$@'
$(filter c-shared-%,$(test-c)): c-shared-%: lib
	@$(call run-c,test_$*,$(link-shared))
link-hooked := -Ltarget/hooked -lluat_kv -Wl,-rpath,\$$ORIGIN/../hooked
c-panic: target/hooked/libluat_kv.so
	@$(call run-c,panic,$(link-hooked))
c-quick: target/hooked/libluat_kv.so
	@$(call run-c,test_contract,$(link-hooked))
$(filter c-static-%,$(test-c)): c-static-%: lib
	@$(call run-c,test_$*,$(link-static))
c-instructions: lib
	@tests/runner tap $@ bench/instructions --tap target/lib/libluat_kv.so

# Debian 12 has no Lua 5.5, so its tests run on an interpreter that is built here, from crates with pinned checksums:
# see tests/lua/interpreter/Cargo.toml. lua.c is compiled separately: from stdin, since its folder has the headers of
# its own Lua, and with llimits.h, since Lua 5.5 has moved some macros there from lauxlib.h.
lua5.5      := target/lua/5.5/lua5.5
lua5.5-from := tests/lua/interpreter/Cargo.toml tests/lua/interpreter/Cargo.lock
$(lua5.5): $(lua5.5-from) | toolchain
	rm -rf $@.src
	cargo vendor --quiet --locked --manifest-path $< $@.src >/dev/null
	cd $@.src && cc="$(CC) -std=gnu99 -O2 -DLUA_USE_LINUX -Ilua-src/lua-5.5.1" && \
	    $$cc -include lprefix.h -include llimits.h -c -x c - -o lua.o <rlua-lua54-sys/lua-5.4.6/src/lua.c && \
	    $$cc lua-src/lua-5.5.1/*.c lua.o -Wl,-E -lm -ldl -o ../$(@F)

# An interpreter whose clock tests can move, so that they need not wait until something expires.
target/c/clock.so: tests/lua/clock.c tests/c/clock.h | toolchain
	@mkdir -p $(@D)
	$(CC) -std=c99 $(warnings) -O -shared -fPIC $< -o $@
with-clock = sh -c 'mkdir -p target/test; head -c 8 /dev/zero >"$$TEST_CLOCK"; LD_PRELOAD="$$PWD/target/c/clock.so" exec "$$@"' sh
$(LUAS:%=lua-%) lua-quick ffi: target/c/clock.so
$(LUAS:%=lua-%) lua-quick ffi: export TEST_CLOCK = $(CURDIR)/target/test/$@.clock
$(LUAS:%=lua-%): lua-%: target/lua/%/luat_kv.so target/lua/fork.so
	@$(lua-path) $(call lua_cpath,$*) tests/runner tap $@ $(with-clock) $(interpreter) tests/lua/run.lua -o tap
$(LUAS:%=lua-%): interpreter = lua$*
# luaunit is plain Lua, and Debian packages it for the older versions.
lua-5.5: $(lua5.5)
lua-5.5: interpreter = $(lua5.5)
lua-5.5: lua-path = LUA_PATH="$$(lua5.4 -e 'print(package.path)')"
lua-mixed: $(LUAS:%=target/lua/%/luat_kv.so) $(lua5.5)
	@tests/runner tap $@ tests/lua/mixed
target/hooked/lua/luat_kv.so: $(module-sources) | toolchain
	rm -f target/debug/libluat_kv_lua.so target/debug/deps/libluat_kv_lua.so
	cargo build $(call module,5.4),debug-hooks
	install -D target/debug/libluat_kv_lua.so $@
lua-panic: target/hooked/lua/luat_kv.so
	@LUA_CPATH='$(CURDIR)/target/hooked/lua/?.so' LUAT_KV_DEBUG_PANIC_KEY=boom tests/runner tap $@ lua5.4 tests/lua/panic.lua
lua-quick: target/hooked/lua/luat_kv.so
	@LUA_CPATH='$(CURDIR)/target/hooked/lua/?.so' tests/runner tap $@ $(with-clock) lua5.4 tests/lua/quick.lua
lua-starved: target/lua/5.4/luat_kv.so
	@mkdir -p target/c; $(call lua_cpath,5.4) tests/runner tap $@ sh -ec '$(CC) -std=c99 -g $(warnings) \
	    -I/usr/include/lua5.4 tests/lua/starved.c -llua5.4 -o target/c/$@; target/c/$@'

lua-instructions: target/lua/5.4/luat_kv.so
	@tests/runner tap $@ bench/lua-instructions --tap $<

cross:
	@tests/runner tap $@ tests/cross

rocks: lib
	@tests/runner tap $@ tests/rocks $(filter-out 5.5,$(LUAS))

readme: lib target/lua/5.4/luat_kv.so
	@$(call lua_cpath,5.4) tests/runner tap $@ tests/docs/readme

exports-shared: file := target/lib/libluat_kv.so
exports-static: file := target/lib/libluat_kv.a
exports-lua: file := target/lua/5.4/luat_kv.so
exports-portable: file = $(portable) $(glibc)
exports-portable: $(portable)
$(test-exports): exports-%: lib target/lua/5.4/luat_kv.so
	@tests/runner check $@ tests/exports $* $(file)

install-tree: lib
	@tests/runner tap $@ tests/install/run
setup: lib
	@tests/runner tap $@ tests/setup
runner:
	@tests/runner tap $@ tests/runner-test
version:
	@tests/runner tap $@ make/version check
abi-promise:
	@tests/runner tap $@ tests/abi/run test
docs-man: man
	@tests/runner tap $@ tests/docs/man
docs-doxygen:
	@tests/runner tap $@ tests/docs/doxygen
docs-links:
	@tests/runner tap $@ tests/docs/links
docs-messages: lib
	@tests/runner tap $@ tests/docs/messages
docs-site:
	@tests/runner tap $@ tests/docs/site
docs-c: lib man
	@tests/runner tap $@ tests/docs/c
