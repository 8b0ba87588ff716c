# ---- Sanitizers: the C suite again, with tools that detect what no assertion can

# Each program of tests/c, with each tool, except for one whose outcome depends on speed. Only those with threads are
# checked for races.
names      = $(patsubst test_%,%,$(basename $(notdir $1)))
programs  := $(filter-out fairness,$(call names,$(wildcard tests/c/*.c)))
threaded  := $(filter $(programs),$(call names,$(shell grep -l '"threads.h"' tests/c/*.c)))
sanitized := $(programs:%=asan-%) $(programs:%=valgrind-%) $(threaded:%=tsan-%) \
    asan-defects valgrind-defects tsan-defects
.PHONY: check-sanitizers $(sanitized)

check-sanitizers: $(sanitized) ## the C suite under AddressSanitizer, UBSan, ThreadSanitizer and valgrind
$(filter valgrind-%,$(sanitized)): need-valgrind
$(filter-out valgrind-%,$(sanitized)): need-sanitizer
$(filter %-postgres,$(sanitized)): need-postgres

# The libraries, including SQLite. Rust's support is still unstable. RUSTC_BOOTSTRAP lets the stable compiler do it:
# this is the compiler that builds releases, while a nightly may lack what is needed on some day. With --target, build
# scripts and macros are built without sanitizers. For ThreadSanitizer the standard library is rebuilt, since the
# synchronization in the one that comes with Rust would not be seen. (AddressSanitizer works with that one.)
triple         = $(shell rustc -vV | sed -n 's/^host: //p')
rust-libraries = $(shell rustc --print sysroot 2>/dev/null)/lib/rustlib
rust-asan  := address
rust-tsan  := thread
cfg-tsan   := --cfg thread_sanitizer
std-tsan   := -Zbuild-std=std,panic_unwind
c-asan     := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
c-tsan     := -fsanitize=thread -fno-omit-frame-pointer
instrumented := target/asan/libluat_kv.a target/tsan/libluat_kv.a
$(instrumented): target/%/libluat_kv.a: $(sources) make/sanitizers.mk | need-sanitizer
	RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=$(rust-$*) -Cforce-frame-pointers $(cfg-$*)' \
	    CFLAGS_$(subst -,_,$(triple))='$(c-$*)' \
	    cargo rustc --lib --crate-type staticlib --profile sanitize --features debug-hooks $(std-$*) \
	    --target $(triple) --target-dir target/$*
	cp target/$*/$(triple)/sanitize/libluat_kv.a $@
$(instrumented:.a=.so): %.so: %.a
	@$(CC) -shared $(functions:%=-Wl,-u,%) $< -Wl,--version-script=include/luat_kv.map -Wl,-z,nodelete $(link-needs) -o $@

# Rust's runtimes match what its compiler produces, and also work with the C code of GCC or clang.
runtime    = -rdynamic -lrt \
    -Wl,--whole-archive $(rust-libraries)/$(triple)/lib/librustc-stable_rt.$1.a -Wl,--no-whole-archive
with-asan      = target/asan/libluat_kv.a $(call runtime,asan) $(link-needs)
with-tsan      = target/tsan/libluat_kv.a $(call runtime,tsan) $(link-needs)
with-valgrind := $(link-static)
asan-% tsan-%: export LUAT_KV_SO = target/$(firstword $(subst -, ,$@))/libluat_kv.so

# addr2line, from binutils, adds names and lines to reports, and suppressions need these. It is installed wherever ld
# is.
symbolizer     = external_symbolizer_path=$(shell command -v addr2line)
# Forked children end without exit handlers, so AddressSanitizer does not look for leaks in them; valgrind does. It
# reports memory that only pointers into its middle refer to as "possibly lost", and Rust and SQLite use such pointers.
# Memory that is definitely or indirectly lost is a leak. (Suppressions name the function that a thread starts with,
# which is far out in the stack.)
under-asan     = env UBSAN_OPTIONS=print_stacktrace=1:$(symbolizer) \
    ASAN_OPTIONS=$(symbolizer):detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
under-tsan     = env TSAN_OPTIONS=$(symbolizer):die_after_fork=0:suppressions=tests/sanitizers/tsan.supp
under-valgrind = valgrind -q --vgdb=no --leak-check=full --show-leak-kinds=definite,indirect \
    --errors-for-leak-kinds=definite,indirect --error-exitcode=9 --trace-children=yes --trace-children-skip=*/sqlite3,*/sh \
    --num-callers=40 --fair-sched=yes $(patsubst %,--suppressions=%,$(wildcard tests/sanitizers/$@.supp))

# Everything takes longer here, so time limits are longer. Under sanitizers, test_starved can be denied memory only by
# wrappers around malloc and realloc.
defines-starved := -DSTARVED_BY_WRAP
links-starved   := -Wl,--wrap=malloc,--wrap=realloc
# (Linked without -fsanitize, which would add the C compiler's own runtime.)
compile = mkdir -p target/c; $(CC) -std=c99 -D_POSIX_C_SOURCE=200809L -DCHECK_PATIENCE=600 -g $(warnings) $(c-$1) \
    -Iinclude -c $2 -o target/c/$@.o; $(CC) target/c/$@.o $3 $(with-$1) -o target/c/$@
source  = $(or $(wildcard tests/c/test_$1.c),tests/c/$1.c)
server-postgres := tests/postgres/with-server
run     = tests/runner tap $@ sh -ec '$(call compile,$1,$(call source,$2) $(defines-$2),$(links-$2)); \
    $(server-$2) $(under-$1) target/c/$@'
notices = tests/runner tap $@ sh -ec '$(call compile,$1,tests/sanitizers/defects.c); \
    tests/sanitizers/noticed "$(under-$1) target/c/$@" $2'

$(programs:%=asan-%): asan-%: target/asan/libluat_kv.so
	@$(call run,asan,$*)
$(threaded:%=tsan-%): tsan-%: target/tsan/libluat_kv.so
	@$(call run,tsan,$*)
$(programs:%=valgrind-%): valgrind-%: lib
	@$(call run,valgrind,$*)
# Panics are provoked in a separate library.
valgrind-panic: target/hooked/libluat_kv.a
valgrind-panic: with-valgrind = target/hooked/libluat_kv.a $(link-needs)

asan-defects: target/asan/libluat_kv.a
	@$(call notices,asan,leak=LeakSanitizer use_after_free=heap-use-after-free read_beyond=heap-buffer-overflow \
	    undefined="runtime error")
tsan-defects: target/tsan/libluat_kv.a
	@$(call notices,tsan,race="data race")
valgrind-defects: lib
	@$(call notices,valgrind,leak="definitely lost" use_after_free="Invalid read" read_beyond="Invalid read")
