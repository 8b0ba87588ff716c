# ---- The C library on macOS, whose linker and binutils are not GNU's. No test runs this: see docs/platforms.md

# As on Linux, everything that the library's functions need becomes one object, in which all other names are hidden.
exported := target/lib/exported
target/lib/libluat_kv.a: $(sources) include/luat_kv.map Makefile make/macos.mk
	@$(MAKE) --no-print-directory toolchain
	cargo rustc --lib --crate-type staticlib --release
	@mkdir -p $(@D) && rm -f $@
	@printf '_%s\n' $(functions) >$(exported)
	@ld -r -arch $(shell uname -m) -exported_symbols_list $(exported) $(functions:%=-u _%) \
	    -o $(@D)/luat_kv.o target/release/libluat_kv.a
	strip -S $(@D)/luat_kv.o
	ar rcs $@ $(@D)/luat_kv.o
target/lib/libluat_kv.dylib: target/lib/libluat_kv.a
	$(CC) -dynamiclib -o $(@D)/libluat_kv.$(version).dylib $(@D)/luat_kv.o \
	    -install_name @rpath/libluat_kv.$(abi).dylib -current_version $(version) \
	    -Wl,-exported_symbols_list,$(exported) -Wl,-dead_strip $(LDFLAGS)
	strip -x $(@D)/libluat_kv.$(version).dylib
	ln -sf libluat_kv.$(version).dylib $(@D)/libluat_kv.$(abi).dylib
	ln -sf libluat_kv.$(abi).dylib $@
link-needs :=
