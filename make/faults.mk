# ---- Faults: the store under failures from outside (tests/faults)

# Together these take at most five minutes, so that `make test` stays usable. `make torture` runs the same suites for
# longer, and the one of failing system calls until each call has failed. A suite ends with a line of figures, and
# prints the seed that repeats it.
faults  := faults-kills faults-power faults-syscalls faults-linear faults-stale faults-watch faults-crafted faults-damaged
MINUTES := 10
.PHONY: test-faults torture $(faults)
test-faults: $(faults) ## tests/faults: killed processes, power cuts, failing system calls, operations that overlap, hostile files
torture: ## the same for longer, with figures: MINUTES=10 for each suite
	@FAULTS_MINUTES=$(MINUTES) V=1 $(MAKE) --no-print-directory --keep-going $(faults) $(postgres-faults)

$(faults): need-c
$(faults): faults-%:
	@SUITE_SECONDS=$$(($${FAULTS_MINUTES:-1} * 60 + 1200)) tests/runner tap $@ cargo test --quiet --features debug-hooks --test faults -- $*
