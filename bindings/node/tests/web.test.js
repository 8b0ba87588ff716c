// The package for browsers, web/, has the same names for the same things.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { here, root } from "./support.js";

const own = readFileSync(join(here, "../index.d.ts"), "utf8");
const web = readFileSync(join(root, "web/index.d.ts"), "utf8");

const sorted = (names) => [...new Set(names)].sort();
const only = (some, others) => some.filter((name) => !others.includes(name));
const exported = (types) => sorted([...types.matchAll(/^export (?:class|interface|type|function|const) (\w+)/gm)].map(([, name]) => name));

function members(types, name) {
  const body = new RegExp(`^export (?:class|interface) ${name}\\b[^{]*\\{([^]*?)^\\}`, "m").exec(types)[1];
  const found = [...body.matchAll(/^ {2}(?:static |readonly )*(\w+)\??[<(:]/gm)].map(([, member]) => member);
  return sorted(found.filter((member) => member !== "constructor"));
}

/** Types that only one of the packages has: its kinds of keys, values and places, its cache, and Lua. */
const OWN_TYPES = ["CacheStats", "Key", "Path", "ValueOf"];
const WEB_TYPES = [
  "ByteStream", "DeleteOptions", "Lua", "LuaError", "LuaOptions", "RunOptions", "SyncNamespace", "SyncStorable",
  "SyncValueType", "WasmModule", "WasmSource",
];

/** Members that only one of the packages has: for files, and for persisted stores of browsers. */
const MEMBERS = {
  Store: [["backup", "backupAsync", "checkpoint", "compact", "compactAsync", "openMemory", "openProject"], ["damage", "delete", "flush"]],
  Namespace: [["exportAsync", "importAsync"], []],
  Watch: [["closed", "poll", "ref", "unref"], []],
  WatchOptions: [[], []],
  PutChange: [[], []],
  DeleteChange: [[], []],
  Atomic: [[], []],
  LuatKVError: [["errno", "status"], []],
  OpenOptions: [["busyTimeout", "durability", "nowait", "readonly"], ["maxMemory", "name", "onError", "persist", "recover", "wait", "wasm"]],
  Lifetime: [[], []],
  PutOptions: [[], []],
  IncrOptions: [[], []],
  Entry: [[], ["cacheStatus"]],
  EachOptions: [[], []],
  ListOptions: [[], []],
  ListedKey: [[], []],
  ExportOptions: [[], []],
  ImportOptions: [[], []],
  Stats: [["fileSize", "path"], ["memory"]],
};

test("the adapters are the same files, but for how a store is opened", () => {
  const [web, node] = [join(root, "web/src/adapters"), join(here, "../lib/adapters")];
  assert.deepEqual(readdirSync(node), readdirSync(web));
  for (const name of readdirSync(web)) {
    if (name.startsWith("open.")) continue;
    assert.equal(readFileSync(join(node, name), "utf8"), readFileSync(join(web, name), "utf8"), `${name}: make adapters`);
  }
});

test("both packages export the same names", () => {
  assert.deepEqual(only(exported(own), exported(web)), OWN_TYPES);
  assert.deepEqual(only(exported(web), exported(own)), WEB_TYPES);
});

test("their classes and options have the same members", () => {
  const shared = exported(own).filter((name) => exported(web).includes(name));
  const withMembers = shared.filter((name) => new RegExp(`^export (class|interface) ${name}\\b`, "m").test(own));
  assert.deepEqual(Object.keys(MEMBERS).sort(), withMembers);
  for (const [name, [ownMembers, webMembers]] of Object.entries(MEMBERS)) {
    const [here, there] = [members(own, name), members(web, name)];
    assert(here.length > 0 && there.length > 0, name);
    assert.deepEqual([only(here, there), only(there, here)], [ownMembers, webMembers], name);
  }
  const sync = members(web, "SyncNamespace");
  assert.deepEqual(only(members(web, "Namespace"), sync), ["sync", "watch"]);
  assert.deepEqual(only(sync, members(web, "Namespace")), []);
});
