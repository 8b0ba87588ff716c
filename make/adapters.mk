# ---- Adapters of the npm packages, for keyv and unstorage: in both packages, with the libraries that they are for

# The sources are those of web/. The Node package has copies, since npm packs no links.
.PHONY: adapters
adapters: ## copies the adapters of web/ into the Node package
	cd web/src/adapters && cp $(filter-out open.js open.d.ts,$(notdir $(wildcard web/src/adapters/*))) ../../../bindings/node/lib/adapters

test-adapters := adapters-js
.PHONY: test-adapters $(test-adapters)
test-adapters: $(test-adapters) ## the npm packages' adapters: keyv's own test suite, and tests for keyv and unstorage
$(test-adapters): need-node node-20 wasm $(library)
adapters-js:
	@$(host) tests/runner tap $@ env $(with-node) tests/adapters/js/run
