# ---- Installing, by GNU's conventions: make install PREFIX=/usr DESTDIR=/tmp/package libdir=/usr/lib64

PREFIX       ?= /usr/local
libdir       ?= $(PREFIX)/lib
includedir   ?= $(PREFIX)/include
pkgconfigdir ?= $(libdir)/pkgconfig
cmakedir     ?= $(libdir)/cmake/luat_kv
mandir       ?= $(PREFIX)/share/man

headers   := $(wildcard include/*.h include/*.hpp)
libraries := target/lib/libluat_kv.a target/lib/libluat_kv.so.$(version)
templates := $(patsubst make/install/%.in,%,$(wildcard make/install/*.in))
cmakes    := $(filter %.cmake,$(templates))
links     := libluat_kv.so.$(abi) libluat_kv.so

.PHONY: install uninstall
install: may-install lib ## installs the C library and its manual: PREFIX=/usr/local; DESTDIR= for packagers
	install -d $(installed-into:%='$(DESTDIR)%')
	install -m 644 $(headers) '$(DESTDIR)$(includedir)'
	install -m 644 $(libraries) '$(DESTDIR)$(libdir)'
	ln -sf libluat_kv.so.$(version) '$(DESTDIR)$(libdir)/libluat_kv.so.$(abi)'
	ln -sf libluat_kv.so.$(abi) '$(DESTDIR)$(libdir)/libluat_kv.so'
	@for template in $(templates); do \
	    case $$template in *.pc) to='$(DESTDIR)$(pkgconfigdir)' ;; *) to='$(DESTDIR)$(cmakedir)' ;; esac; \
	    echo "install -m 644 $$template $$to"; \
	    sed $(foreach name,$(filled-in),-e 's|@$(name)@|$($(name))|g') make/install/$$template.in | \
	        install -m 644 /dev/stdin "$$to/$$template" || exit; \
	done
	find target/man/man3 -type f -exec install -m 644 -t '$(DESTDIR)$(mandir)/man3' {} +
	find target/man/man3 -type l -exec cp -Pf -t '$(DESTDIR)$(mandir)/man3' {} +
	@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig || :

# These checks come before minutes of building. This folder is not written as root: `make lib` has built everything that
# is installed, so `sudo make install` needs no Rust and leaves no files of root here.
.PHONY: may-install
may-install:
	$(checked)
	@for folder in $(installed-into:%='$(DESTDIR)%'); do \
	    until [ -e "$$folder" ]; do folder=$$(dirname "$$folder"); done; \
	    [ -w "$$folder" ] || { \
	        echo "make install: you may not write to $$folder. Either build first and install as root:" >&2; \
	        echo "    make lib && sudo make install" >&2; \
	        echo "or install into a folder of yours: make install PREFIX=\$$HOME/.local" >&2; exit 1; }; \
	done

uninstall: ## takes away what install has put there, with the same PREFIX and DESTDIR
	$(checked)
	rm -f $(foreach header,$(notdir $(headers)),'$(DESTDIR)$(includedir)/$(header)')
	rm -f $(foreach library,$(notdir $(libraries)) $(links),'$(DESTDIR)$(libdir)/$(library)')
	rm -f '$(DESTDIR)$(pkgconfigdir)/luat_kv.pc' $(cmakes:%='$(DESTDIR)$(cmakedir)/%')
	rm -f $(patsubst %,'$(DESTDIR)$(mandir)/man3/%',$(man-pages) $(man-links))
	rmdir '$(DESTDIR)$(cmakedir)' 2>/dev/null || :

# make and pkg-config do not support every path, so paths are checked before anything is written.
folders := PREFIX libdir includedir pkgconfigdir cmakedir mandir
odd     := & ' " | \ ; < > * ? ! `
checked  = $(foreach name,$(folders),$(if $(filter-out /%,$($(name)) $(if $($(name)),,nothing)),\
    $(error $(name)=$($(name)) is not an absolute path without spaces)))$(foreach name,$(folders) DESTDIR,\
    $(if $(filter 0 1,$(words $($(name)))),,$(error $(name)=$($(name)) has a space in it))$(foreach character,$(odd),\
    $(if $(findstring $(character),$($(name))),$(error $(name)=$($(name)) has a $(character) in it))))

installed-into := $(includedir) $(libdir) $(pkgconfigdir) $(cmakedir) $(mandir)/man3

# The variables in the templates.
filled-in := PREFIX libdir includedir version major minor abi link-needs libdir-from-cmakedir includedir-from-cmakedir
major      = $(word 1,$(subst ., ,$(version)))
minor      = $(word 2,$(subst ., ,$(version)))
libdir-from-cmakedir     = $(shell realpath -m --relative-to='$(cmakedir)' '$(libdir)')
includedir-from-cmakedir = $(shell realpath -m --relative-to='$(cmakedir)' '$(includedir)')
