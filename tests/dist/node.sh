# The npm packages, on a Debian that has Node and npm, as npm itself offers them, and nothing to compile with. Nothing is
# downloaded either.
#
# brings: target/dist/node-hosts
. ./tap.sh
. ./first-get
hosts=$(echo /opt/node-hosts/node_modules)
for version in 18 24; do
    ln -s "$(echo "$hosts"/node-$version-*/bin/node)" /usr/local/bin/node-$version
done
ln -s node-24 /usr/local/bin/node
ln -s "$hosts/npm/bin/npm-cli.js" /usr/local/bin/npm
export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
native=$(echo /dist/luat-kv-native-*.tgz)
web=$(ls /dist/luat-kv-[0-9]*.tgz)

cat >../lib.mjs <<'END'
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** The files named libluat_kv that this process has loaded. */
export const loaded = () => [...new Set(readFileSync("/proc/self/maps", "utf8").match(/\S*libluat_kv\S*/g))];
export const example = (readme) => /```js\n([^]*?)```/.exec(readFileSync(readme, "utf8"))[1];
export { assert };
END

check 'there is no compiler, no Rust and no C library of ours' '
    for command in cc gcc cargo python3; do if command -v $command; then exit 1; fi; done
    [ -z "$(find / -xdev -path /opt -prune -o -name "libluat_kv*" -print)" ]'

# ---- luat-kv-native

first_get 'Node 18.18 or later' "
    node --input-type=module -e 'import { Store } from \"luat-kv-native\"; const kv = Store.open(\"app.db\").namespace(\"n\"); \
        kv.put(\"k\", \"v\"); if (kv.get(\"k\") !== \"v\") process.exit(1)'"
check 'what is installed is the package alone' '
    [ "$(ls node_modules)" = luat-kv-native ]
    [ -f node_modules/luat-kv-native/THIRD-PARTY-LICENSES ]
    [ ! -e node_modules/luat-kv-native/build ] # nothing was compiled'

cat >use.mjs <<'END'
import { assert, example, loaded } from "../lib.mjs";
import { rmSync, writeFileSync } from "node:fs";
rmSync("app.db", { force: true });
writeFileSync("example.mjs", example("node_modules/luat-kv-native/README.md"));
await import("./example.mjs");
const own = import.meta.dirname ?? process.cwd();
assert.deepEqual(loaded().map((path) => path.replace(/linux-\w+/, "linux-CPU")),
  [`${own}/node_modules/luat-kv-native/prebuilds/linux-CPU/libluat_kv.so.0`]);
END
for version in 18 24; do
    check "the README's example, with the library of the package, on Node $version" "
        [ \"\$(node-$version use.mjs)\" = 'alice 2
session:abc web
true 1' ]"
done

check 'LUAT_KV_LIBRARY names another library' '
    cp node_modules/luat-kv-native/prebuilds/*/libluat_kv.so.0 /tmp/other.so
    export LUAT_KV_LIBRARY=/tmp/other.so
    node --input-type=module -e "import \"luat-kv-native\"; import { readFileSync } from \"node:fs\";
        const maps = readFileSync(\"/proc/self/maps\", \"utf8\"); process.exit(maps.includes(\"/tmp/other.so\") && !/prebuilds.*libluat_kv/.test(maps) ? 0 : 1)"
    export LUAT_KV_LIBRARY=/no/such.so
    if node --input-type=module -e "import \"luat-kv-native\"" 2>error; then exit 1; fi
    grep -F "(LUAT_KV_LIBRARY names it): /no/such.so: " error'

cat >adapters.mjs <<'END'
import { assert } from "../lib.mjs";
import KeyvLuatKV from "luat-kv-native/keyv";
import luatKVDriver from "luat-kv-native/unstorage";
const keyv = new KeyvLuatKV({ store: "adapters.db" });
await keyv.set("k", "v", 60_000);
assert.equal(await keyv.get("k"), "v");
await keyv.disconnect();
const driver = luatKVDriver({ store: "adapters.db" });
await driver.setItem("a:b", "v");
assert.deepEqual(await driver.getKeys("a"), ["a:b"]);
await driver.dispose();
END
check 'the adapters need neither keyv nor unstorage' 'node adapters.mjs && rm adapters.db*'

cat >sqlite.mjs <<'END'
import { assert } from "../lib.mjs";
import { Store } from "luat-kv-native";
const [library, name] = process.argv.slice(2);
const { [name]: Database } = await import(library);
const refused = { name: "LuatKVError", code: "BUSY", message: /SQLite/ };
Store.open("two.db").close();
const other = new Database("two.db");
assert.equal(other.prepare("SELECT count(*) AS n FROM kv").get().n, 0);
assert.throws(() => Store.open("two.db"), refused);
assert.throws(() => Store.open("two.db", { readonly: true }), refused);
Store.open("three.db").close(); // a file that only one of them has
other.close();
const store = Store.open("two.db");
store.namespace("n").put("k", "v");
assert.equal(store.namespace("n").get("k"), "v");
store.close();
END
check 'a file that is open in the SQLite of Node is refused' '
    node --no-warnings sqlite.mjs node:sqlite DatabaseSync && rm two.db* three.db*'
check 'so is one that is open in better-sqlite3' "
    node sqlite.mjs $hosts/better-sqlite3/lib/index.js default && rm two.db* three.db*"

cat >copies.mjs <<'END'
import { assert, loaded } from "../lib.mjs";
import { Store as One } from "luat-kv-native";
import { Store as Two } from "../app2/node_modules/luat-kv-native/index.js";
import { Worker, isMainThread } from "node:worker_threads";
assert.equal(loaded().length, 2);
const one = One.open("copies.db");
assert.throws(() => Two.open("copies.db"), { code: "BUSY", message: /SQLite/ });
one.namespace("n").put("k", "v");
one.close();
const two = Two.open("copies.db");
assert.equal(two.namespace("n").get("k"), "v");
two.close();
if (isMainThread) {
  // Workers load the same file, so they have the same copy of SQLite.
  const three = One.open("worker.db");
  const code = 'import("luat-kv-native").then(({ Store }) => Store.open("worker.db").namespace("n").put("w", "v"))';
  const worker = new Worker(code, { eval: true });
  const status = await new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
  assert.deepEqual([status, three.namespace("n").get("w")], [0, "v"]);
}
END
check 'two copies of the package refuse a file that the other one has; workers share one' "
    mkdir ../app2 && (cd ../app2 && npm install --ignore-scripts $native)
    node copies.mjs && rm copies.db* worker.db*"

check 'without a prebuilt addon it says what to compile it with' "
    mkdir ../source && cd ../source && tar xzf $native && rm -r package/prebuilds
    if npm install --install-links ./package 2>error; then exit 1; fi
    grep -F 'there is no prebuilt addon for' error && grep -F 'apt-get install gcc libc6-dev' error"
check 'with the addon, but no C library at all, it says where to get one' "
    cd ../app2 && rm node_modules/luat-kv-native/prebuilds/*/libluat_kv.so.0
    if node --input-type=module -e 'import \"luat-kv-native\"' 2>error; then exit 1; fi
    grep -F 'libluat_kv could not be loaded (install it with' error"

# ---- luat-kv

first_get 'JavaScript in browsers, workers, Node, Deno, Bun' "
    node --input-type=module -e 'import { Store } from \"luat-kv\"; const kv = (await Store.open()).namespace(\"n\"); \
        await kv.put(\"k\", \"v\"); if (await kv.get(\"k\") !== \"v\") process.exit(1)'
    [ -f node_modules/luat-kv/THIRD-PARTY-LICENSES ]"
check "luat-kv: the README's example" '
    node --input-type=module -e "import { example } from \"../lib.mjs\"; console.log(example(\"node_modules/luat-kv/README.md\"))" >web.mjs
    node web.mjs | grep -x "9 3"'

# ---- Both

check 'uninstalling leaves nothing but the data' '
    npm uninstall luat-kv-native luat-kv
    [ ! -d node_modules ] || [ -z "$(ls node_modules)" ]
    if grep luat-kv package.json; then exit 1; fi
    [ -s app.db ]'
for package in "$native" "$web"; do
    check "npm publish --dry-run $(basename "$package"): no warning, but that nobody is logged in" "
        npm publish --dry-run $package >log 2>&1 || { cat log; false; }
        if grep -i 'npm warn' log | grep -v 'to be logged in'; then exit 1; fi"
done
finish
