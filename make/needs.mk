# ---- What the targets need from the machine

# need-NAME installs the missing packages of packages-NAME. Each suite needs only its own packages, so one suite can run
# on a machine that lacks those of others. Targets in no list need only Rust and a C compiler.
packages-demo    := lua5.4
packages-bench   := postgresql libpq5 lua5.4 lua-cjson liblua5.4-dev liblmdb-dev libhiredis-dev redis-tools python3-venv
packages-docs    := doxygen python3-venv
packages-header  := lua5.4 nodejs
packages-wasm     = nodejs npm clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 $(if $(own-std),,rustc-web rust-web-src)
# Suites, and groups of suites.
packages-c++     := g++ sqlite3
packages-cli     := util-linux
packages-c       := sqlite3
packages-luajit  := luajit lua-unit lua-cjson lua-socket sqlite3 util-linux
packages-lua     := $(packages-luajit) lua5.1 lua5.2 lua5.3 lua5.4 liblua5.4-dev
packages-rocks   := lua5.1 lua5.2 lua5.3 lua5.4 luajit luarocks git
packages-exports := binutils
packages-setup   := util-linux python3
packages-abi     := abigail-tools
packages-install := g++ binutils pkg-config cmake man-db
packages-man     := mandoc man-db groff-base
packages-clang++ := g++ clang
packages-go      := golang pkg-config sqlite3
packages-docs-site := $(packages-docs) chromium
packages-docs-messages := python3 lua5.4 pkg-config postgresql libpq5
packages-bench-go := $(packages-go) golang-github-coreos-bbolt-dev
packages-node    := nodejs npm sqlite3
packages-python  := python3-venv python3-dev
packages-valgrind  := valgrind libc6-dbg sqlite3
packages-sanitizer := binutils sqlite3
packages-fuzz      := g++ binutils
packages-postgres := postgresql libpq5 pgbouncer python3-venv python3-dev
packages-dist      := debootstrap
packages-portable  := python3-venv
packages-debian    := debhelper lintian
packages-demo-postgres := lua5.4 postgresql libpq5
packages-browsers = $(packages-wasm) lua5.4 lua-unit chromium firefox-esr webkit2gtk-driver xvfb
# All at once for `make test`, since each run of apt takes time.
sets             := c++ cli c luajit lua rocks exports setup abi install man clang++ go node python valgrind sanitizer fuzz \
    browsers docs docs-site docs-messages postgres dist portable debian $(apps) $(servers)
packages-test     = $(sort $(foreach set,$(sets),$(packages-$(set))))

# How to check that a Debian package, or the same software from elsewhere, is installed.
has-lua5.1        := command -v lua5.1
has-lua5.2        := command -v lua5.2
has-lua5.3        := command -v lua5.3
has-lua5.4        := command -v lua5.4
has-luajit        := command -v luajit
has-lua-unit      := lua5.4 -l luaunit -e ''
has-lua-cjson     := lua5.4 -l cjson -e ''
has-lua-socket    := lua5.4 -l socket -e ''
has-luarocks      := command -v luarocks
has-git           := command -v git
has-sqlite3       := command -v sqlite3
has-g++           := command -v g++
has-binutils      := command -v nm
has-pkg-config    := command -v pkg-config
has-cmake         := command -v cmake
has-abigail-tools := command -v abidiff
has-valgrind      := command -v valgrind
has-libc6-dbg     := valgrind -q /bin/true
has-clang         := command -v clang++
has-doxygen       := command -v doxygen
has-golang        := command -v go
has-golang-github-coreos-bbolt-dev := test -d /usr/share/gocode/src/go.etcd.io/bbolt
has-mandoc        := command -v mandoc
has-man-db        := command -v man
has-groff-base    := command -v groff
has-python3       := command -v python3
has-python3-venv  := python3 -m ensurepip --version
has-python3-dev   := test -f "$$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"
has-nodejs        := command -v node
has-npm           := command -v npm
has-util-linux    := command -v setpriv
has-clang-19      := command -v clang-19
has-lld-19        := command -v wasm-ld-19
has-wasi-libc     := test -f /usr/lib/wasm32-wasi/libc.a
has-libclang-rt-19-dev-wasm32 := test -d /usr/lib/llvm-19/lib/clang/19/lib/wasi
has-rustc-web     := test -x /usr/bin/rustc
has-rust-web-src  := test -f /usr/lib/rustlib/src/rust/library/std/src/lib.rs
has-chromium      := command -v chromium
has-firefox-esr   := command -v firefox-esr
has-webkit2gtk-driver := command -v WebKitWebDriver
has-xvfb          := command -v Xvfb
has-postgresql    := tests/postgres/server.py --version
has-libpq5        := python3 -c 'import ctypes; ctypes.CDLL("libpq.so.5")'
has-pgbouncer     := PATH="$$PATH:/usr/sbin" command -v pgbouncer
has-haproxy       := PATH="$$PATH:/usr/sbin" command -v haproxy
has-apache2-bin   := test -f /usr/lib/apache2/modules/mod_lua.so
has-debhelper     := command -v dh_builddeb
has-lintian       := command -v lintian
has-debootstrap   := PATH="$$PATH:/usr/sbin" command -v debootstrap
has-liblmdb-dev   := test -f /usr/include/lmdb.h
has-libhiredis-dev := test -f /usr/include/hiredis/hiredis.h
has-redis-tools   := command -v redis-check-rdb
has-podman        := command -v podman
has-systemd       := command -v systemctl
has-systemd-container := command -v systemd-nspawn
has-dbus          := command -v dbus-daemon
has-prosody       := command -v prosodyctl
has-neovim        := command -v nvim
has-ruby          := command -v ruby
has-puma          := command -v puma
has-lua-luv       := lua5.4 -l luv -e ''
has-lua-cqueues   := lua5.4 -l cqueues -e ''
has-runc          := PATH="$$PATH:/usr/sbin" command -v runc
has-liblua5.4-dev := test -f /usr/include/lua5.4/lua.h

needs := $(addprefix need-,$(sets) demo demo-postgres test bench bench-go header wasm)
.PHONY: deps $(needs) components rust-src toolchain
deps: need-demo need-test need-bench ## installs what demo, test and bench need from Debian, as they do by themselves

$(needs): need-%: toolchain
	@lack=; $(foreach p,$(packages-$*),$(has-$p) >/dev/null 2>&1 || lack="$$lack $p";) \
	[ -z "$$lack" ] || make/debian $* $$lack

# Components of rustup: rust-src is for the sanitizers and for WebAssembly.
need-test: components rust-src
need-sanitizer need-fuzz need-browsers: rust-src
need-wasm: $(if $(own-std),rust-src)
components: toolchain
	@{ cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
rust-src: toolchain
	@test -d "$$(rustc --print sysroot)/lib/rustlib/src/rust/library" || rustup component add rust-src

# Debian's own cargo cannot even parse Cargo.toml, so its version is checked first.
rust-needed := $(shell sed -n 's/^rust-version = "\([0-9.]*\)".*/\1/p' Cargo.toml)
get-rust    := Install it with rustup (https://rustup.rs), or on Debian: apt-get install cargo-web
toolchain:
	@command -v cargo >/dev/null && command -v rustc >/dev/null || { \
	    echo 'Rust $(rust-needed) or later is needed, and there is no cargo on the PATH. $(get-rust)' >&2; \
	    [ -z "$$SUDO_USER" ] || echo 'Under sudo, build first as the user who has Rust: make lib && sudo make install' >&2; \
	    exit 1; }
	@found=$$(rustc --version | cut -d ' ' -f 2); \
	[ "$$(printf '%s\n' '$(rust-needed)' "$$found" | sort -V | head -n 1)" = '$(rust-needed)' ] || { \
	    echo "Rust $(rust-needed) or later is needed, and this is $$found. $(get-rust)" >&2; exit 1; }
	@command -v $(firstword $(CC)) >/dev/null || { echo '$(CC) is missing. Please install a C compiler: apt-get install gcc libc6-dev' >&2; exit 1; }
