# ---- Fuzzing: the targets of fuzz/, by libFuzzer, under AddressSanitizer

fuzz-targets := c_api database import list luat_toml lua_json metadata records
fuzz         := $(fuzz-targets:%=fuzz-%)
FUZZ_SECONDS ?= 30
.PHONY: fuzz $(fuzz)
fuzz: $(fuzz) ## the fuzz targets, FUZZ_SECONDS=30 each; what they find lies in target/fuzz
$(fuzz): need-fuzz

# Built as by cargo-fuzz, but with the stable compiler (see make/sanitizers.mk). Each target starts from its committed
# corpus. New inputs stay in target/fuzz/corpus.
coverage      = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
build-fuzz    = RUSTC_BOOTSTRAP=1 RUSTFLAGS='-Zsanitizer=address $(coverage) --cfg fuzzing' \
    CFLAGS_$(subst -,_,$(triple))='-fsanitize=address -fno-omit-frame-pointer' \
    cargo build --quiet --release --locked --manifest-path fuzz/Cargo.toml --target $(triple) --target-dir target/fuzz/$1
fuzz-limits  := -rss_limit_mb=2048 -malloc_limit_mb=2048 -timeout=60 -max_len=4096 -print_final_stats=1
fuzz-sources := $(sources) fuzz/build.rs fuzz/Cargo.toml fuzz/Cargo.lock $(wildcard fuzz/fuzz_targets/*)

target/fuzz/core.built: $(fuzz-sources) make/fuzz.mk | need-fuzz
	$(call build-fuzz,core) && touch $@
target/fuzz/lua.built: $(fuzz-sources) make/fuzz.mk | need-fuzz
	$(call build-fuzz,lua) --features lua --bin lua_json && touch $@
$(filter-out fuzz-lua_json,$(fuzz)): fuzz-%: target/fuzz/core.built
	@$(call run-fuzz,core)
fuzz-lua_json: fuzz-%: target/fuzz/lua.built
	@$(call run-fuzz,lua)
run-fuzz = mkdir -p target/fuzz/corpus/$* fuzz/corpus/$*; \
    SUITE_SECONDS=$$(($(FUZZ_SECONDS) + 1200)) tests/runner check $@ env $(under-asan) \
    target/fuzz/$1/$(triple)/release/$* $(fuzz-limits) -max_total_time=$(FUZZ_SECONDS) \
    -artifact_prefix=target/fuzz/$*- target/fuzz/corpus/$* fuzz/corpus/$*
