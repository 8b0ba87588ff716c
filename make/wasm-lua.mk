# ---- WebAssembly with Lua: Lua's sources, the Rust library and src/wasm/*.c, linked by clang

lua-wasm-from := src/wasm/lua-src/Cargo.toml src/wasm/lua-src/Cargo.lock
lua-wasm-dir  := target/wasm/lua
lua-wasm-c    := $(wildcard src/wasm/*.c src/wasm/*.h src/wasm/include/*.h)

wasm: target/wasm/luat_kv_lua.wasm

# In place of lundump.c and lcorolib.c, src/wasm has its own files (undump.c, coroutine.c). A line is removed from
# lgc.c, so that finalizers can be stopped too. Calls are added that count, as src/wasm/hook.c describes: in lvm.c for
# jumps and calls, in ldo.c for calls of C functions, in lapi.c for collections, and in llex.c for tokens. ldo.c also
# calls a protected function through a function of its own (protected.c).
$(lua-wasm-dir)/src/lua.h: $(lua-wasm-from) make/wasm-lua.mk | toolchain
	rm -rf $(lua-wasm-dir)/vendor $(lua-wasm-dir)/src
	cargo vendor --quiet --locked --manifest-path $< $(lua-wasm-dir)/vendor >/dev/null
	mkdir -p $(lua-wasm-dir)/src
	cp $(lua-wasm-dir)/vendor/lua-src/lua-5.4.*/*.[ch] $(lua-wasm-dir)/src
	cd $(lua-wasm-dir)/src && rm lundump.c lcorolib.c && \
	    sed -i '/^    L->allowhook = 0; .* during GC metamethod/d' lgc.c && ! grep -q 'allowhook = 0' lgc.c && \
	    sed -i -e '/^#define updatetrap/s/ci->u.l.trap/& | luat_kv_tick(L)/' \
	        -e '/^ startfunc:/,/;/s/L->hookmask/& | luat_kv_tick(L)/' lvm.c && [ $$(grep -c luat_kv_tick lvm.c) = 2 ] && \
	    sed -i -e '/^l_sinline int precallC/,/^}/s/^  int n;/  luat_kv_call_of_c(func);\n&/' \
	        -e 's/^    (\*f)(L, ud);/    luat_kv_protected(L, f, ud);/' ldo.c && \
	    [ $$(grep -c luat_kv_protected ldo.c) = 1 ] && \
	    sed -i '/^LUA_API int lua_gc/,/^}/s/^  va_list argp;/  luat_kv_collection(L);\n&/' lapi.c && \
	    sed -i '/^void luaX_next/s/$$/\n  luat_kv_token();/' llex.c && \
	    grep -q luat_kv_call_of_c ldo.c && grep -q luat_kv_collection lapi.c && grep -q luat_kv_token llex.c
	rm -rf $(lua-wasm-dir)/vendor
	touch $@

# WebAssembly exceptions in the form that browsers have supported since 2021. setjmp is implemented with them.
clang-wasm := clang-19 --target=wasm32-wasi -mllvm -wasm-enable-sjlj -mexception-handling -mbulk-memory
# The libraries of Lua with functions that can take long: see src/wasm/hook.c.
looked-at  := lbaselib liolib loadlib loslib lstrlib ltablib lutf8lib
look       := -fsanitize-coverage=bb,trace-pc -mllvm -sanitizer-coverage-prune-blocks=0
cflags-wasm := -std=gnu11 -O2 -D_WASI_EMULATED_PROCESS_CLOCKS -Isrc/wasm/include -Isrc/wasm -I$(lua-wasm-dir)/src \
    -include config.h

# The stack is first in memory, so that an overflow traps. Functions keep their names until wasm-opt removes them, since
# it needs one of the names.
link-wasm  := -mexec-model=reactor -lwasi-emulated-process-clocks -Wl,--import-memory \
    -Wl,--stack-first,-z,stack-size=1048576 -Wl,--gc-sections,--strip-debug
exports-wasm = $(addprefix -Wl$(comma)--export-if-defined=, \
    $(functions) $(addprefix luat_kv_wasm_,alloc changed changes free load read replace))

# Without the options that make luat_kv.wasm small: a library that aborts on panics would trap whenever an error of Lua
# passes through Rust, and the messages for scripts format numbers with `{:?}`. It is also optimized for speed. It is
# built after the other module, because cargo locks the folder that both build in.
target/wasm/lua/libluat_kv.a: $(sources) make/wasm.mk make/wasm-lua.mk | need-wasm target/wasm/luat_kv.wasm
	RUSTC_BOOTSTRAP=1 CARGO_BUILD_RUSTFLAGS='$(no-paths)' $(if $(own-std),,$(debians-rust)) \
	    cargo rustc --lib --crate-type staticlib --no-default-features --features lua54 \
	    --target wasm32-wasip1 --profile wasm --config 'profile.wasm.opt-level=3' \
	    --config 'profile.wasm.package."*".opt-level=3' \
	    --target-dir target/wasm/build -Zbuild-std=std,panic_abort
	install -D -m 644 target/wasm/build/wasm32-wasip1/wasm/libluat_kv.a $@

target/wasm/luat_kv_lua.wasm: target/wasm/lua/libluat_kv.a $(lua-wasm-dir)/src/lua.h $(lua-wasm-c) make/wasm-lua.mk \
    web/node_modules/.package-lock.json | need-wasm
	rm -rf $(lua-wasm-dir)/objects && mkdir -p $(lua-wasm-dir)/objects
	for file in $(filter %.c,$(lua-wasm-c)); do \
	    $(clang-wasm) $(cflags-wasm) -Wall -Wextra -Werror -c $$file \
	        -o $(lua-wasm-dir)/objects/our_$$(basename $$file .c).o || exit; \
	done
	for file in $(lua-wasm-dir)/src/*.c; do \
	    name=$$(basename $$file .c); \
	    case " $(looked-at) " in *" $$name "*) look='$(look)' ;; *) look= ;; esac; \
	    $(clang-wasm) $(cflags-wasm) $$look -c $$file -o $(lua-wasm-dir)/objects/$$name.o || exit; \
	done
	$(filter-out -mllvm -wasm-enable-sjlj,$(clang-wasm)) $(lua-wasm-dir)/objects/*.o $< $(link-wasm) $(exports-wasm) \
	    -o $(lua-wasm-dir)/linked.wasm
	$(subst -Oz --converge,--no-inline=luat_kv_protected -O2,$(optimize-wasm)) --enable-exception-handling \
	    $(lua-wasm-dir)/linked.wasm -o $@
	@install -m 644 $@ web/luat_kv_lua.wasm

# The Lua contract suite on it, in Node and in a page of each browser.
browsers      := chromium firefox webkit
contract-wasm := wasm-contract-node wasm-contract-node-18 $(browsers:%=wasm-contract-%)
.PHONY: $(contract-wasm)
$(contract-wasm): need-browsers wasm
$(filter-out %-18,$(contract-wasm)): wasm-contract-%:
	@tests/runner tap $@ env $(with-node) node web/test/contract-run.js $*
wasm-contract-node-18: node-18
	@tests/runner tap $@ $(node-18) web/test/contract-run.js node
