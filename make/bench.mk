# ---- Benches: docs/performance.md and its charts

.PHONY: bench bench-page
bench-programs := target/bench/baseline.so target/bench/peers target/bench/writers target/bench/reads \
    target/bench/scale target/bench/postgres target/bench/watch

bench: need-bench lib target/lua/5.4/luat_kv.so $(bench-programs) ## measures the store beside others, and writes docs/performance.md
	cargo bench --quiet --bench sizes --no-run
	bench/run
	@$(MAKE) --no-print-directory bench-page

bench-page: need-bench target/bench/env/installed ## writes docs/performance.md anew, from the figures of the last `make bench`
	@test -f target/bench/results.json || { echo 'There are no figures: run `make bench` first' >&2; exit 1; }
	target/bench/env/bin/python -B bench/page.py

target/bench/env/installed: bench/requirements.txt
	rm -rf $(@D) && python3 -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# SQLite comes from the archive that our library is made of: both sides run the very same build of it.
bench-cc = $(CC) -std=c99 -O2 $(warnings) -Iinclude $1 target/release/libluat_kv.a $(link-needs)
$(bench-programs): bench/sqlite.h bench/raw_sqlite.h target/lib/libluat_kv.a | need-bench
target/bench/baseline.so: bench/baseline.c
	@mkdir -p $(@D)
	$(call bench-cc,-shared -fPIC -I/usr/include/lua5.4 $<) -Wl,--exclude-libs,ALL -Wl,--gc-sections -o $@
target/bench/peers: bench/peers.c
	@mkdir -p $(@D)
	$(call bench-cc,$<) -llmdb -lhiredis -o $@
target/bench/writers target/bench/reads target/bench/scale target/bench/postgres target/bench/watch: target/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(call bench-cc,$<) -o $@
