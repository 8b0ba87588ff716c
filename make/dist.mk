# ---- Packages that install without Rust and without a clone: dist/

# Each part adds its files to dist, and its suites, which install these files on a Debian 12 that has nothing else of
# ours (tests/dist/run), to test-dist.
dist-parts  := dist-sbom dist-node dist-python dist-source dist-debian dist-lua dist-go
test-dist   := $(dist-parts:%=test-%) test-dist-hosts test-dist-packages test-dist-python-twice test-dist-sdist \
               test-dist-crate test-dist-sums
.PHONY: dist $(dist-parts) test-dist $(test-dist)
# A part alone leaves no SHA256SUMS rather than one of other files.
$(dist-parts): | no-sums
.PHONY: no-sums
no-sums:
	@rm -f dist/SHA256SUMS
dist: $(dist-parts) ## builds all packages into dist/, with their SHA256SUMS
	@cd dist && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS

# Packages are the same bytes whenever and wherever they are built: times in them are that of the commit.
$(dist-parts) $(test-dist): export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)

test-dist: $(test-dist) ## installs each package on a Debian 12 without Rust and without a clone
in-debian := $(patsubst tests/dist/%.sh,test-dist-%,$(wildcard tests/dist/*.sh))
test-dist-hosts: dist-debian
$(filter-out test-dist-hosts,$(in-debian)): test-dist-%: dist-%
$(in-debian): test-dist-%: need-dist
	@tests/runner tap $@ tests/dist/run $*

# What the wheel and the npm package bring runs on systems with glibc 2.28 or later (2018), Debian 11 and RHEL 8 among
# them. What Debian 12 links needs 2.34. The code is the same: zig, which brings the libraries to link against, only
# links it. (Its linker takes the flags of target/lib/%.so, all but -O1, and -z defs finds what an older glibc lacks.)
# There is none for macOS, whose own linker takes an older version in MACOSX_DEPLOYMENT_TARGET.
glibc    := 2.28
zig      := target/zig/bin/python -m ziglang
portable := target/portable/libluat_kv.so.$(abi)
target/zig/made: make/dist/zig.txt | need-portable
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
$(portable): target/lib/libluat_kv.a include/luat_kv.map target/zig/made make/dist.mk
	@mkdir -p $(@D)
	ZIG_GLOBAL_CACHE_DIR=target/zig/cache ZIG_LOCAL_CACHE_DIR=target/zig/cache $(zig) cc \
	    -target $(shell uname -m)-linux-gnu.$(glibc) -shared -o $@ target/lib/luat_kv.o -Wl,-soname,$(@F) \
	    -Wl,--version-script=include/luat_kv.map -Wl,--gc-sections -Wl,-z,nodelete,-z,relro,-z,now,-z,defs \
	    -Wl,--build-id=sha1 -Wl,-s -Wl,--as-needed $(link-needs) $(shell $(CC) -print-file-name=libgcc_s.so.1)

# What packages are built and checked with.
tools := target/dist/tools/bin/python
$(tools): make/dist/tools.txt | need-python
	rm -rf target/dist/tools
	python3 -m venv target/dist/tools
	$(tools) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

# ---- What is compiled into the library, the tool and the Lua modules. All packages contain the notices.

third-party := target/dist/THIRD-PARTY-LICENSES
sbom         = dist/luat_kv-$(version).spdx.json
$(third-party): make/dist/sbom.py Cargo.toml Cargo.lock lua/module/Cargo.toml | toolchain
	@mkdir -p $(@D)
	make/dist/sbom.py notices >$@
dist-sbom: $(third-party)
	@mkdir -p dist
	make/dist/sbom.py spdx >$(sbom)
test-dist-sbom: dist-sbom lib cli target/lua/5.4/luat_kv.so $(tools)
	@tests/runner tap $@ $(tools) tests/dist/sbom.py $(sbom) $(third-party) target/lib/libluat_kv.so target/release/luat-kv \
	    target/lua/5.4/luat_kv.so

# ---- The npm packages: web/ as it is, and the one for Node with its addon and the C library inside

dist-node: need-node node-20 wasm $(portable) $(third-party)
	$(with-node) make/dist/npm $(glibc) $(portable) $(third-party) dist
test-dist += dist-node-twice
.PHONY: dist-node-twice
test-dist: dist-node-twice
dist-node-twice: dist-node
	@tests/runner check $@ env $(with-node) tests/dist/npm-twice $(glibc) $(portable) $(third-party)
test-dist-node: target/dist/node-hosts/made
# What a user has of Node, from npm.
target/dist/node-hosts/made: tests/dist/node/package.json tests/dist/node/package-lock.json | need-node node-20
	rm -rf $(@D) && mkdir -p $(@D)
	cp tests/dist/node/package.json tests/dist/node/package-lock.json tests/dist/node/.npmrc $(@D)
	$(with-node) npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# ---- Python: a wheel with the library inside, and a source distribution with the library's source

policy := manylinux_$(subst .,_,$(glibc))_$(shell uname -m)
pack-python := PYTHON=$(tools) make/dist/python $(portable) $(third-party) $(policy)
dist-python: $(portable) $(third-party) $(tools)
	$(pack-python) dist
test-dist-python-twice: dist-python
	@tests/runner check $@ sh -ec '$(pack-python) target/dist/twice; cd target/dist/twice; \
	    for file in luat_kv-*; do cmp "$$file" "../../../dist/$$file"; done'
# The source distribution is also installed where there is cargo, and the crate is packed as for its registry.
test-dist-sdist: dist-python
	@tests/runner tap $@ tests/dist/sdist dist/luat_kv-$(version).tar.gz $(tools)
test-dist-crate: toolchain
	@tests/runner tap $@ tests/dist/crate

# ---- The source, with all crates: builds without a network

tarball := dist/luat_kv-$(version)-source.tar.xz
dist-source: toolchain
	@mkdir -p dist
	make/dist/source $(tarball)

# In another folder it gives the same bytes.
test-dist-source: dist-source lib cli target/lua/5.4/luat_kv.so
	@tests/runner tap $@ tests/dist/source $(tarball)

# What `make dist` leaves as a whole.
test-dist-sums: dist
	@tests/runner tap $@ tests/dist/sums
