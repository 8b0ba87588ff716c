// Stores: opening, housekeeping, export and import, and calls in the background.

import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { constants, totalmem } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { LuatKVError, Store, version } from "luat-kv-native";
import { fails, onBoth, run, scratch } from "./support.js";

const { EEXIST, EISDIR, ENOENT } = constants.errno;

test("a store is found again in its file, by a string, bytes or a URL", () => {
  const path = join(scratch("folder \u20ac"), "deep", "kv.db");
  Store.open(path, { durability: "full", busyTimeout: 100, limits: "default" }).namespace("n").put("k", "v");
  for (const name of [path, Buffer.from(path), pathToFileURL(path)]) {
    const store = Store.open(name);
    assert.equal(store.namespace("n").get("k"), "v");
    store.close();
  }
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.match(version, /^\d+\.\d+\.\d+/);
});

test("a URL chooses the store", () => {
  const folder = scratch("urls");
  const path = join(folder, "a b.db");
  for (const url of [`file://${folder}/a%20b.db`, `file:${path}`, path, new URL(`file://${folder}/a%20b.db`)]) {
    const store = Store.open(url);
    assert.equal(store.stats().path, path);
    store.namespace("n").incr("opened");
    store.close();
  }
  assert.equal(Store.open(path).namespace("n").get("opened"), "4");
  for (const url of ["memory:", new URL("memory:")]) {
    const store = Store.open(url, { limits: "cloudflare" });
    assert.equal(store.stats().path, "memory");
    store.close();
  }
  fails("INVALID", /it can be postgresql:, postgres:, file: or memory:/, () => Store.open("mysql://host/database"));
  fails("INVALID", /it can be postgresql:/, () => Store.open(new URL("https://host/")));
  fails("INVALID", /no query/, () => Store.open("file:kv.db?mode=ro"));
  const postgres = "postgresql://user@localhost:1/database";
  fails("INVALID", /the server decides/, () => Store.open(postgres, { durability: "full" }));
  fails("INVALID", /cache_size is 1,/, () => Store.open(new URL(postgres), { cacheSize: 1 }));
  fails("INVALID", /not a URL/, () => Store.open(Buffer.from(postgres)));
});

test("no error has the password of a URL", () => {
  for (const url of [
    "postgresql://user:secret@localhost:1/database", new URL("postgresql://user:secret@localhost:1/database"),
    "postgresql://user:secret@secret@host/database", "postgresql://user:secret/database", "mysql://user:secret@host/",
    "postgresql://localhost:1/d?password=secret", "postgresql://user:secret\0@host/d", "postgresql://user:secret\ud800@h/d",
  ]) {
    assert.throws(() => Store.open(url), (error) => error instanceof LuatKVError && !`${error.stack}`.includes("secret"));
  }
});

test("openProject finds the folder of luat.toml", async () => {
  const project = scratch("project");
  mkdirSync(join(project, "src"), { recursive: true });
  writeFileSync(join(project, "luat.toml"), '[routing]\ndata_dir = "data"\n');
  const store = Store.openProject(join(project, "src"));
  assert.equal(store.stats().path, join(project, "data", "kv.db"));
  store.close();
  const before = process.cwd();
  process.chdir(project);
  const here = Store.openProject();
  process.chdir(before);
  assert.equal(here.stats().path, join(project, "data", "kv.db"));
  here.close();
  writeFileSync(join(project, "luat.toml"), "[routing\n");
  fails("INVALID", /luat\.toml/, () => Store.openProject(project));
});

test("a file that Luat wrote opens with all that it holds; metadata that is no JSON is CORRUPT, and harms no other key", async () => {
  const path = scratch();
  await run("sqlite3", [path, `
    CREATE TABLE kv(namespace TEXT, key TEXT, value BLOB, metadata TEXT, expiration INTEGER, PRIMARY KEY(namespace, key));
    INSERT INTO kv VALUES ('n', 'good', 'v', '{"m":1}', NULL), ('n', 'bad', 'v', '{oops', NULL);`]);
  const store = Store.open(path);
  const kv = store.namespace("n");
  assert.deepEqual(kv.getWithMetadata("good").metadata, { m: 1 });
  assert.equal(kv.get("bad"), "v");
  fails("CORRUPT", /the metadata of "bad" is not JSON/, () => kv.getWithMetadata("bad"));
  fails("CORRUPT", /the metadata of "bad" is not JSON/, () => kv.list().keys[0].metadata);
  assert.deepEqual(kv.list().keys[1].metadata, { m: 1 });
  assert.equal(kv.list({ start: "c" }).keys.length, 1);
  store.close();
});

test("stats, namespaces and housekeeping", onBoth((kv, store) => {
  kv.put("k", "v");
  store.namespace("a").put("k", "v");
  store.namespace("empty");
  const { path, fileSize, namespaces, cache } = store.stats();
  assert.deepEqual([...namespaces], [["a", { live: 1, expired: 0 }], ["test", { live: 1, expired: 0 }]]);
  assert.equal(fileSize > 0, path !== "memory");
  assert.deepEqual(cache, { hits: 0, misses: 0, drops: 0, size: 0 });
  assert.deepEqual(store.namespaces(), ["a", "test"]);
  assert.equal(store.sweep(), 0);
  assert.equal(store.compact(), undefined);
  assert.equal(store.checkpoint(), true);
  assert.equal(kv.get("k"), "v");
}));

test("values are read from a cache, which stats describe, unless cacheSize is 0", () => {
  // The sizes have more than 32 bits if the machine has that much memory.
  const large = Math.min(totalmem(), 2 ** 32 + 2 ** 20);
  for (const cacheSize of [undefined, large, 2 ** 20, 0]) {
    const store = Store.open(scratch(), { cacheSize });
    const kv = store.namespace("n");
    kv.put("k", "v");
    for (let i = 0; i < 10; i++) assert.equal(kv.get("k"), "v");
    const { hits, misses, drops, size } = store.stats().cache;
    if (cacheSize === 0) {
      assert.deepEqual([hits, misses, size], [0, 0, 0]);
    } else {
      // A key is added when it is read for the second time.
      assert.deepEqual([hits, misses], [8, 2]);
      assert(size > 0 && size < 2 ** 20, `${size} bytes`);
    }
    kv.put("k", "new");
    assert.equal(kv.get("k"), "new");
    assert.equal(typeof drops, "number");
    store.close();
  }
});

test("checkpoint is false while another process reads an older state", async () => {
  const path = scratch();
  const store = Store.open(path, { busyTimeout: 50 });
  store.namespace("n").put("k", "1");
  const { spawn } = await import("node:child_process");
  const reader = spawn("sqlite3", [path], { stdio: ["pipe", "pipe", "inherit"] });
  reader.stdin.write("BEGIN;\nSELECT count(*) FROM sqlite_schema;\n");
  await new Promise((resolve) => reader.stdout.once("data", resolve));
  store.namespace("n").put("k", "2");
  assert.equal(store.checkpoint(), false);
  reader.stdin.end("COMMIT;\n");
  await new Promise((resolve) => reader.once("exit", resolve));
  assert.equal(store.checkpoint(), true);
  store.close();
});

test("a namespace is the same object for the same name, and knows it", onBoth((kv, store) => {
  assert.equal(store.namespace("test"), kv);
  assert.equal(kv.name, "test");
  assert.notEqual(store.namespace("other"), kv);
  fails("INVALID", /empty/, () => store.namespace(""));
  fails("LIMIT", /4097/, () => store.namespace("x".repeat(4097)));
}));

test("backup makes a copy that opens, and never overwrites", async () => {
  const store = Store.open(scratch());
  store.namespace("n").put("k", "v");
  const [one, two] = [scratch("copy.db"), scratch("copy.db")];
  store.backup(one);
  await store.backupAsync(two);
  for (const path of [one, two]) {
    const copy = Store.open(path, { readonly: true });
    assert.equal(copy.namespace("n").get("k"), "v");
    copy.close();
    fails("IO", /File exists/, () => store.backup(path));
    await assert.rejects(store.backupAsync(path), { name: "LuatKVError", code: "IO", status: -2, errno: EEXIST });
  }
  fails("INVALID", /memory/, () => Store.openMemory().backup(scratch()));
  store.close();
});

test("an error has the number of the system's error, if a system call failed", () => {
  const folder = scratch("folder");
  mkdirSync(folder);
  const missing = join(scratch("missing"), "kv.db");
  for (const [errno, open] of [
    [EISDIR, () => Store.open(folder)],
    [ENOENT, () => Store.open(missing, { readonly: true })],
    [undefined, () => Store.open("")],
  ]) {
    assert.throws(open, (error) => error instanceof LuatKVError && error.errno === errno && "errno" in error === (errno > 0));
  }
});

test("export and import carry a namespace over, by path and by descriptor", onBoth((kv) => {
  kv.put("a", Buffer.from([0, 255]), { metadata: { m: 1 } });
  kv.put("b", "text");
  const to = Store.openMemory().namespace("n");
  for (const format of [undefined, "json", "jsonl"]) {
    const path = scratch("export.json");
    assert.equal(kv.export(path, { format }), 2);
    assert.equal(readFileSync(path, "utf8")[0], format === "jsonl" ? "{" : "[");
    to.clear();
    assert.deepEqual(to.import(path), { stored: 2, skipped: 0 });
    to.put("b", "mine");
    assert.deepEqual(to.import(path), { stored: 0, skipped: 2 });
    assert.equal(to.get("b"), "mine");
    const fd = openSync(path, "r");
    assert.deepEqual(to.import(fd, { replace: true }), { stored: 2, skipped: 0 });
    closeSync(fd);
    assert.deepEqual(to.getWithMetadata("a", "buffer").value, Buffer.from([0, 255]));
    assert.deepEqual(to.getWithMetadata("a").metadata, { m: 1 });
  }
  const path = scratch("export.json");
  const fd = openSync(path, "w");
  assert.equal(kv.export(fd, { format: "jsonl" }), 2);
  closeSync(fd);
  assert.equal(readFileSync(path, "utf8").split("\n").length, 3);
  writeFileSync(path, '[{"key":"c","value":"1"},{"key":""}]');
  fails("INVALID", /./, () => to.import(path));
  fails("IO", /./, () => to.import(scratch("missing.json")));
  assert.equal(to.get("c"), null);
}));

test("transfers in the background do the same, and let the event loop run", async () => {
  const store = Store.open(scratch());
  const kv = store.namespace("n");
  for (let i = 0; i < 1000; i++) kv.put(`k${i}`, "v".repeat(100));
  const path = scratch("export.json");
  assert.equal(await kv.exportAsync(path, { format: "jsonl" }), 1000);
  assert.deepEqual(await kv.importAsync(path), { stored: 0, skipped: 1000 });
  assert.deepEqual(await kv.importAsync(path, { replace: true }), { stored: 1000, skipped: 0 });
  await store.compactAsync();
  await assert.rejects(kv.importAsync(scratch("missing.json")), { code: "IO", status: -2, message: /missing\.json/ });
  await assert.rejects(kv.exportAsync(5.5), RangeError);
  await assert.rejects(kv.exportAsync(path, { format: 1 }), TypeError);
  // Many at once: libuv has four threads.
  const many = await Promise.all(Array.from({ length: 300 }, () => kv.exportAsync(scratch("many.json"))));
  for (const count of many) assert.equal(count, 1000);
  store.close();
});

test("a pipe within the process works in the background", async () => {
  const pipe = scratch("pipe");
  await run("mkfifo", [pipe]);
  const [from, to] = [Store.openMemory().namespace("n"), Store.openMemory().namespace("n")];
  for (let i = 0; i < 2000; i++) from.put(`k${i}`, "v".repeat(100));
  const [count, stored] = await Promise.all([from.exportAsync(pipe), to.importAsync(pipe)]);
  assert.deepEqual([count, stored], [2000, { stored: 2000, skipped: 0 }]);
});
