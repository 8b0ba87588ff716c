# ---- Hosts: C++, Python, Node, Go and LuaJIT's FFI, each on an installed tree as its users have one

test-cpp   := $(foreach test,api handles watch library,cpp-shared-$(test)) \
              $(foreach test,api handles watch,cpp-static-$(test)) cpp-header cpp-instructions
test-go    := go
test-node  := node
test-python := python
test-ffi   := ffi
test-hosts := $(test-cpp) $(test-ffi) $(test-python) $(test-node) $(test-go)
.PHONY: test-cpp test-ffi test-python test-node test-go $(test-hosts)
test-cpp: $(test-cpp) ## the C++ header: alone, on the shared and on the static library, and what it adds to a call
test-go: $(test-go) ## the Go package, with the race detector
test-node: $(test-node) ## the Node package
test-ffi: $(test-ffi) ## the Lua suite again, on the module for LuaJIT's FFI
test-python: $(test-python) ## the Python package, and its types by mypy
$(test-hosts): toolchain
$(filter-out cpp-header,$(test-cpp)): need-c++
cpp-header: need-clang++
cpp-instructions: need-valgrind
go: need-go
node: need-node
python: need-python
ffi: need-luajit

# Relative names, so that nothing outside of this folder is written or removed, whatever the folder is called.
library := target/prefix/lib/libluat_kv.so
hooked  := target/hooked/libluat_kv.so
$(library): target/lib/libluat_kv.so $(headers) $(wildcard make/install/*) make/install.mk
	@rm -rf target/prefix
	@$(MAKE) --no-print-directory install DESTDIR= PREFIX='$(CURDIR)/target/prefix' >/dev/null
	@touch -h $@

# With this, the tests of every binding find the library as users do, and the one that panics on demand.
host = LUAT_KV_LIBRARY='$(CURDIR)/$(library).$(abi)' LUAT_KV_HOOKED_LIBRARY='$(CURDIR)/$(hooked)' \
    PKG_CONFIG_PATH='$(CURDIR)/target/prefix/lib/pkgconfig' LD_LIBRARY_PATH='$(CURDIR)/target/prefix/lib'

strict := $(warnings) -Wconversion -Wshadow
run-cpp = mkdir -p target/c; $(host) tests/runner tap $@ sh -ec '$(CXX) -g $(strict) -Itarget/prefix/include tests/cpp/test_$1.cpp \
    $2 -o target/c/$@; target/c/$@'
$(filter cpp-shared-%,$(test-cpp)): cpp-shared-%: $(library) $(hooked)
	@$(call run-cpp,$*,-std=c++17 -Ltarget/prefix/lib -lluat_kv)
$(filter cpp-static-%,$(test-cpp)): cpp-static-%: $(library)
	@$(call run-cpp,$*,-std=c++20 target/prefix/lib/libluat_kv.a $(link-needs))
cpp-header: lib
	@tests/runner tap $@ tests/cpp/header
cpp-instructions: lib
	@tests/runner tap $@ bench/cpp-instructions --tap target/lib/libluat_kv.so

# Before a suite that runs beside others and uses a folder that another one uses too: they take turns.
ifdef PARALLEL
in-turn = mkdir -p target/$1 && flock --close target/$1
endif

go: $(library) $(hooked)
	@$(host) tests/runner go $@ bindings/go/test

.PHONY: go-proxy
go-proxy: need-go ## writes the Go package to target/go-proxy, a module proxy for go get: bindings/go/README.md
	go run make/go-proxy.go v$(version) target/go-proxy

node: $(library) $(hooked)
	@$(call in-turn,node) env $(host) tests/runner tap $@ bindings/node/test

.PHONY: bench-node
bench-node: need-node lib ## measures the Node package beside lmdb-js and better-sqlite3
	bindings/node/bench/run $(BENCH)

python: $(library) $(hooked)
	@$(call in-turn,python) env $(host) tests/runner pytest $@ bindings/python/test

.PHONY: bench-python
bench-python: need-python $(library) ## measures the Python package beside py-lmdb and Python's sqlite3
	@$(host) bindings/python/bench/run $(BENCH)

.PHONY: bench-go
bench-go: need-bench-go $(library) ## measures the Go package beside bbolt
	@$(host) bindings/go/bench/run $(BENCH)

# (Some of its tests compare it with the C module.)
ffi: $(library) $(hooked) target/lua/jit/luat_kv.so
	@$(host) $(call lua_cpath,jit) LUAT_KV_MODULE=luat_kv_ffi tests/runner tap $@ $(with-clock) luajit tests/lua/run.lua -o tap
