# ---- Documentation: the site, with what there is to read and the headers as HTML; and manual pages

.PHONY: docs docs-headers man
sphinx := target/docs-env/bin/sphinx-build
docs: docs-headers $(sphinx) ## builds the site of all documentation, with a search: target/docs/html/index.html
	$(sphinx) --quiet --fail-on-warning --keep-going --fresh-env --doctree-dir target/docs/doctrees \
	    --conf-dir make/docs/site --define html_title='luat_kv $(version)' . target/docs/html

# The folder of the site, with the part of it that Doxygen makes.
docs-headers: need-docs
	@rm -rf target/docs && mkdir -p target/docs/html
	{ cat make/docs/Doxyfile; echo 'OUTPUT_DIRECTORY = target/docs/html'; echo 'PROJECT_NUMBER = $(version)'; } | doxygen -

$(sphinx): make/docs/site/requirements.txt | need-docs
	rm -rf target/docs-env
	python3 -m venv target/docs-env
	target/docs-env/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# One page for each function, and one for all. Pages of options structs name their _init function. The date of a page is
# that of the last release, so that the same sources give the same pages.
structs   := $(patsubst %_init,%,$(filter %_options_init,$(functions)))
man-pages := luat_kv.3 $(functions:%=%.3)
man-links := $(structs:%=%.3)
released  := $(shell sed -n 's/^\#\# \[[0-9].*\] - //p' CHANGELOG.md | head -n 1)

man: target/man/man3/luat_kv.3
target/man/man3/luat_kv.3: include/luat_kv.h Cargo.toml CHANGELOG.md make/docs/header.awk make/docs/man.awk make/docs.mk
	@rm -rf $(@D) && mkdir -p $(@D)
	awk -v dir=$(@D) -v version=$(version) -v date=$(released) \
	    -f make/docs/header.awk -f make/docs/man.awk include/luat_kv.h
	@for struct in $(structs); do ln -s $${struct}_init.3 $(@D)/$$struct.3 || exit; done
