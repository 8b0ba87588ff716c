# ---- The playground: web/playground, a page to learn and try the store in

.PHONY: playground playground-site test-playground
playground: playground-site ## builds the playground page and serves it on 127.0.0.1, until Ctrl-C
	@$(with-node) npm --prefix web/playground --silent run preview

# It takes only a second, so it is always rebuilt.
playground-site: target/wasm/luat_kv.wasm target/wasm/luat_kv_lua.wasm web/playground/node_modules/.package-lock.json
	$(with-node) npm --prefix web/playground --silent run build

test-playground := playground-page $(browsers:%=playground-%)
test-playground: $(test-playground) ## the playground page, all of it in Chromium, most in Firefox and WebKit too; leaves screenshots in target/playground
.PHONY: $(test-playground)
$(test-playground): need-browsers playground-site
playground-page:
	@tests/runner tap $@ env $(with-node) npm --prefix web/playground --silent test
$(browsers:%=playground-%): playground-%:
	@tests/runner tap $@ env $(with-node) node --test-reporter=tap web/playground/test/browsers-run.js $*
