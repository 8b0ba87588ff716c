# ---- Debian packages, rocks and a Go module: parts of dist (make/dist.mk)

# LuaJIT loads the module for Lua 5.1.
debian-luas := 5.1 5.2 5.3 5.4
dist-debian: lib cli $(debian-luas:%=target/lua/%/luat_kv.so) $(third-party) need-debian
	make/dist/debian $(version) $(third-party) target/dist/debian
	@mkdir -p dist && rm -f dist/*.deb && cp target/dist/debian/*.deb dist

# The modules in rocks are linked as the library is for the wheel: see make/dist.mk. One at a time, since cargo writes
# the archive of each Lua to the same file (see also `lua` in the Makefile).
rock-luas    := $(filter-out jit,$(LUAS))
rock-modules := $(rock-luas:%=target/portable/lua/%/luat_kv.so)
link-rock     = ZIG_GLOBAL_CACHE_DIR=target/zig/cache ZIG_LOCAL_CACHE_DIR=target/zig/cache $(zig) cc \
    -target $(shell uname -m)-linux-gnu.$(glibc) -shared -o $@ -Wl,-u,luaopen_luat_kv $(built)/libluat_kv_lua.a \
    -Wl,--version-script=lua/module/luat_kv.map -Wl,--gc-sections -Wl,-z,nodelete,-z,relro,-z,now \
    -Wl,--build-id=sha1 -Wl,-s -Wl,--as-needed $(link-needs) $(shell $(CC) -print-file-name=libgcc_s.so.1)
$(rock-modules): export CARGO_BUILD_RUSTFLAGS = $(no-paths)
$(rock-modules): target/portable/lua/%/luat_kv.so: $(module-sources) lua/module/luat_kv.map target/zig/made | toolchain
	@mkdir -p $(@D)
	flock target/portable/lua sh -ec 'rm -f $(built)/libluat_kv_lua.a $(built)/deps/libluat_kv_lua.a; \
	    cargo rustc --profile lua $(call module,$*) --target-dir target/lua/build --crate-type staticlib; \
	    $(link-rock)'
rocks = make/dist/rocks.py $1 $(third-party) $(foreach lua,$(rock-luas),$(lua)=target/portable/lua/$(lua)/luat_kv.so)
dist-lua: $(rock-modules) $(third-party)
	@rm -rf dist/rocks
	$(call rocks,dist/rocks)

go-module = go run make/go-proxy.go v$(version) $1 target/lib/libluat_kv.a $(third-party)
dist-go: target/lib/libluat_kv.a $(third-party) need-go
	@rm -rf dist/go
	$(call go-module,dist/go)

# Once more, in other folders.
test-dist-packages: dist-debian dist-lua dist-go target/lua/5.5/lua5.5
	@rm -rf target/dist/again
	@tests/runner tap $@ tests/dist/packages 'make/dist/debian $(version) $(third-party) target/dist/again/debian' \
	    '$(call rocks,target/dist/again/rocks)' '$(call go-module,target/dist/again/go)'
