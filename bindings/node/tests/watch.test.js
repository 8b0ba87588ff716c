// Watches: what they report, how they wait and end, and what they refuse.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Store, Watch } from "luat-kv-native";
import { fails, onEach, run, scratch, script, short, wrongType } from "./support.js";

test("a watch returns the latest state of each key that has changed, and nothing for what was there", onEach(async (kv) => {
  for (const key of ["old", "replaced", "removed"]) kv.put(key, "1");
  const watch = kv.watch();
  assert.deepEqual([watch.poll(), await watch.next(0), watch.closed], [[], [], false]);
  const first = kv.put("new", "1", { metadata: { x: 1 }, expiration: 4e9 });
  kv.put("replaced", "2");
  const version = kv.put("replaced", "3");
  kv.delete("removed");
  kv.put("brief", "1");
  kv.delete("brief");
  kv.atomic().delete("missing").commit();
  assert.deepEqual(await watch.next(), [
    { name: "new", type: "put", version: first, expiration: 4e9, metadata: { x: 1 } },
    { name: "removed", type: "delete" },
    { name: "replaced", type: "put", version },
  ]);
  assert.deepEqual(watch.poll(), []);
  kv.touch("old", { expirationTtl: 100 });
  kv.incr("count");
  assert.equal(short(watch.poll()), "+count +old");
  kv.clear();
  assert.equal(short(await watch.next()), "-count -new -old -replaced");
}));

test("a watch of keys or of a prefix reports only these", onEach((kv, store) => {
  const byKeys = kv.watch({ keys: ["b", Buffer.from("missing"), "a", "b"], prefix: null });
  const byPrefix = kv.watch({ prefix: Buffer.from("user:"), keys: undefined });
  const all = kv.watch({ prefix: "", values: false, signal: undefined });
  for (const key of ["a", "aa", "b", "user", "user:1", "user:\u{10000}", "user:\uffee", "user;"]) kv.put(key, key);
  store.namespace("other").put("user:3", "");
  assert.deepEqual([byKeys, byPrefix].map((watch) => short(watch.poll())), ["+a +b", "+user:1 +user:\uffee +user:\u{10000}"]);
  assert.equal(all.poll().length, 8);
  kv.delete("user:1");
  kv.put("missing", "");
  assert.deepEqual([byKeys, byPrefix].map((watch) => short(watch.poll())), ["+missing", "-user:1"]);
}));

test("existing begins with what is there, and a key that is removed before the first call is not told", onEach(async (kv) => {
  for (const key of ["a", "b"]) kv.put(key, key);
  const [kept, called] = [kv.watch({ existing: true, values: true }), kv.watch({ keys: ["a", "c"], existing: true })];
  const [loop, none] = [kv.watch({ existing: true }).ref(), kv.watch({ prefix: "x", existing: true })];
  const version = kv.getWithMetadata("b").version;
  kv.delete("a");
  kv.put("c", "c");
  const [b, c] = await kept.next();
  assert.deepEqual([b, short([c]), kept.poll()], [{ name: "b", type: "put", version, value: "b" }, "+c", []]);
  assert.deepEqual([short(called.poll()), await none.next(0)], ["+c", []]);
  const seen = [];
  for await (const change of loop) {
    seen.push(short([change]));
    if (change.name === "c") break;
  }
  assert.deepEqual(seen, ["+b", "+c"]);
  kv.delete("c");
  assert.deepEqual([kept, called, none].map((watch) => short(watch.poll())), ["-c", "-c", ""]);
  assert.deepEqual(kv.watch({ existing: false }).poll(), []);
}));

test("values come as the type that is asked for", onEach((kv) => {
  const types = [true, "text", "json", "buffer", "arrayBuffer"];
  const watches = types.map((values) => kv.watch({ values }));
  kv.put("k", "[1]");
  kv.put("gone", "1");
  kv.delete("gone");
  const bytes = Buffer.from("[1]");
  const expected = ["[1]", "[1]", [1], bytes, new Uint8Array(bytes).buffer];
  assert.deepEqual(watches.map((watch) => watch.poll()[0].value), expected);
  kv.put("k", "");
  assert.deepEqual([watches[0].poll()[0].value, watches[3].poll()[0].value], ["", Buffer.alloc(0)]);
  kv.put("large", "x".repeat(100_000));
  kv.put("none", Buffer.of(0xff));
  assert.deepEqual(watches[1].poll().map(({ value }) => value.length), [0, 100_000, 1]);
  assert.equal("value" in kv.watch().poll(), false);
}));

test("more values than are returned at once come with the next calls", async () => {
  const store = Store.open(scratch());
  const kv = store.namespace("n");
  const watch = kv.watch({ values: "buffer" });
  const batch = kv.atomic();
  for (const key of ["a", "b", "c"]) batch.put(key, Buffer.alloc(9 << 20, key));
  batch.commit();
  const all = [await watch.next(), await watch.next(), watch.poll()];
  assert.deepEqual(all.map(short), ["+a +b", "+c", ""]);
  assert.equal(all[1][0].value.toString("latin1", 0, 2), "cc");
  store.close();
});

test("what cannot be converted hides no other change, and none is lost", async () => {
  const path = scratch();
  const store = Store.open(path);
  const kv = store.namespace("n");
  const watch = kv.watch({ values: "json" });
  kv.put("a", "1");
  kv.put("b", "no JSON");
  await run("sqlite3", [path, "INSERT INTO kv (namespace, key, value, metadata) VALUES ('n', 'c', '3', '{bad')"]);
  const [a, b, c] = watch.poll();
  assert.deepEqual([a.value, b.name, c.value], [1, "b", 3]);
  assert.throws(() => b.value, { name: "SyntaxError", message: /^the value of "b" is not JSON/ });
  fails("CORRUPT", /the metadata of "c" is not JSON/, () => c.metadata);
  assert.deepEqual(watch.poll(), []);
  store.close();
});

test("an expiry is told from a removal, with the next change", onEach(async (kv, store) => {
  for (const key of ["deleted", "expired"]) kv.put(key, "", { expirationTtl: 1 });
  const watch = kv.watch().ref();
  kv.delete("deleted");
  assert.deepEqual(watch.poll(), [{ name: "deleted", type: "delete" }]);
  await sleep(2100);
  store.namespace("other").put("k", "v");
  assert.deepEqual(await watch.next(), [{ name: "expired", type: "delete", expired: true }]);
}));

test("next() waits for the change, or until its time is over", onEach(async (kv, store) => {
  const watch = kv.watch().ref();
  for (const time of [0, 0.5, 20]) assert.deepEqual(await watch.next(time), []);
  for (const time of [undefined, Infinity, 1e300, 60_000]) {
    const next = watch.next(time);
    store.namespace("other").put("k", "v");
    await sleep(5);
    kv.put("k", "v");
    assert.equal(short(await next), "+k");
  }
  const watches = Array.from({ length: 20 }, () => kv.watch().ref());
  const all = watches.map((one) => one.next());
  await sleep(5);
  kv.put("l", "v");
  assert.deepEqual((await Promise.all(all)).map(short), watches.map(() => "+l"));
}));

test("the changes of a batch come together", async () => {
  const path = scratch();
  const writes = script(`
    import { Store } from "luat-kv-native";
    const kv = Store.open(process.argv.at(-1)).namespace("n");
    for (let i = 0; i < 2000; i++) kv.atomic().put("a", i).put("b", i).commit();
    kv.put("c", "end");`, { args: [path] });
  const store = Store.open(path);
  const watch = store.namespace("n").watch({ values: "json" }).ref();
  for (let is_over = false; !is_over; ) {
    const [a, b, ...rest] = await watch.next();
    is_over = (rest[0] ?? a).name === "c";
    if (b) assert.equal(a.value, b.value);
  }
  await writes;
  store.close();
});

test("writes of other processes and of other programs are seen", async () => {
  const path = scratch();
  const store = Store.open(path);
  const kv = store.namespace("n");
  const watch = kv.watch({ values: true }).ref();
  const next = watch.next();
  await script(`import { Store } from "luat-kv-native"; Store.open(process.argv.at(-1)).namespace("n").put("k", "1");`, { args: [path] });
  const [change] = await next;
  assert.deepEqual([change.name, change.value, change.version], ["k", "1", kv.getWithMetadata("k").version]);
  const again = watch.next();
  await run("sqlite3", [path, "UPDATE kv SET value = '2'"]);
  assert.equal((await again)[0].value, "2");
  store.close();
});

test("a loop gets one change at a time, and to leave it closes the watch", onEach(async (kv) => {
  const watch = kv.watch().ref();
  const seen = [];
  setTimeout(() => kv.atomic().put("a", "1").put("b", "2").commit(), 5);
  for await (const change of watch) {
    seen.push(short([change]));
    if (change.name === "b") kv.delete("a");
    if (change.type === "delete") break;
  }
  assert.deepEqual([seen, watch.closed], [["+a", "+b", "-a"], true]);
  await assert.rejects(() => watch.next(), { code: "INVALID", message: "the watch is closed" });
  fails("INVALID", /^the watch is closed$/, () => watch.poll());
  for await (const change of watch) assert.fail(change.name);
  await assert.rejects(async () => {
    setTimeout(() => kv.put("c", "3"), 5);
    for await (const { name } of kv.watch().ref()) throw new Error(name);
  }, { message: "c" });
}));

test("a loop that writes what it watches lets the event loop turn", onEach(async (kv) => {
  const watch = kv.watch().ref();
  kv.put("k", "v");
  setTimeout(() => watch.close(), 5);
  for await (const { name } of watch) kv.put(name, "v");
  assert.equal(watch.closed, true);
}));

test("close() ends what waits, and so does the end of an iterator", onEach(async (kv) => {
  const [next, loop, iterated, within] = Array.from({ length: 4 }, () => kv.watch().ref());
  const follow = async () => {
    for await (const change of loop) assert.fail(change.name);
  };
  const iterator = iterated[Symbol.asyncIterator]();
  assert.equal(iterator[Symbol.asyncIterator](), iterator);
  const all = [next.next(), follow(), iterator.next(), iterator.return()];
  await sleep(5);
  for (const watch of [next, loop]) watch.close();
  const done = { done: true, value: undefined };
  assert.deepEqual(await Promise.all(all), [[], undefined, done, done]);
  assert.deepEqual([next, loop, iterated].map(({ closed }) => closed), [true, true, true]);
  next.close();
  next[Symbol.dispose]();
  kv.atomic().put("a", "1").put("b", "2").commit();
  const seen = [];
  for await (const { name } of within) {
    seen.push(name);
    within.close();
  }
  assert.deepEqual(seen, ["a"]);
  next.unref().ref();
}));

test("a stream has the changes, reads only when it is read, and closes the watch", onEach(async (kv) => {
  const [watch, other] = [kv.watch({ values: true }).ref(), kv.watch().ref()];
  const reader = watch.stream().getReader();
  for (const value of ["1", "2"]) kv.put("a", value);
  kv.put("b", "1");
  assert.equal((await reader.read()).value.value, "2");
  kv.delete("b");
  assert.deepEqual([(await reader.read()).value.type, (await reader.read()).value.type], ["put", "delete"]);
  const read = reader.read();
  await sleep(5);
  await reader.cancel();
  assert.deepEqual([(await read).done, watch.closed], [true, true]);
  const rest = other.stream().getReader();
  setTimeout(() => other.close(), 5);
  while (!(await rest.read()).done);
}));

test("a signal ends it with its reason", onEach(async (kv) => {
  const controller = new AbortController();
  const { signal } = controller;
  const [next, loop, idle] = Array.from({ length: 3 }, () => kv.watch({ signal }).ref());
  const follow = async () => {
    for await (const change of loop) assert.fail(change.name);
  };
  const ends = [next.next(), follow()].map((promise) => assert.rejects(promise, { name: "AbortError" }));
  await sleep(5);
  controller.abort();
  await Promise.all(ends);
  assert.throws(() => idle.poll(), { name: "AbortError" });
  assert.deepEqual([next, loop, idle].map(({ closed }) => closed), [true, true, true]);
  assert.throws(() => kv.watch({ signal }), { name: "AbortError" });
  const other = kv.watch({ signal: AbortSignal.timeout(5) }).ref();
  await assert.rejects(() => other.next(), { name: "TimeoutError" });
}));

test("the end of the store is an error of what waits", onEach(async (kv, store) => {
  const watches = [kv.watch().ref(), kv.watch().ref()];
  const follow = async () => {
    for await (const change of watches[1]) assert.fail(change.name);
  };
  const closed = { code: "INVALID", message: "the store is closed" };
  const ends = [watches[0].next(), follow()].map((promise) => assert.rejects(promise, closed));
  await sleep(5);
  store.close();
  await Promise.all(ends);
  assert.throws(() => watches[0].poll(), closed);
  assert.throws(() => kv.watch(), closed);
  for (const watch of watches) watch.close();
}));

test("one call at a time waits, and an error closes nothing", onEach(async (kv) => {
  const watch = kv.watch().ref();
  const next = watch.next();
  const refusal = { code: "INVALID", message: "another next() waits with this watch; each needs its own" };
  await assert.rejects(() => watch.next(), refusal);
  await assert.rejects(() => watch[Symbol.asyncIterator]().next(), refusal);
  assert.throws(() => watch.poll(), refusal);
  kv.put("k", "v");
  assert.deepEqual([short(await next), watch.closed], ["+k", false]);
  kv.put("l", "v");
  assert.equal(short(watch.poll()), "+l");
}));

test("what a watch and next() refuse", onEach(async (kv) => {
  for (const options of [1, "x", [], true]) wrongType(/options must be an object/, () => kv.watch(options));
  wrongType(/unknown option value: did you mean values\?/, () => kv.watch({ value: true }));
  wrongType(/unknown option type: the options are keys, prefix, existing, since, values, signal$/, () => kv.watch({ type: "json" }));
  wrongType(/^values must be|^type must be one of/, () => kv.watch({ values: "xml" }));
  for (const existing of [1, 0, "true", null, {}]) wrongType(/^existing must be a boolean, not /, () => kv.watch({ existing }));
  for (const keys of ["k", 1, new Set(["k"]), {}]) wrongType(/^keys must be an array, not /, () => kv.watch({ keys }));
  for (const key of [undefined, null, 1, {}]) wrongType(/^a key must be a string or a Uint8Array/, () => kv.watch({ keys: ["k", key] }));
  for (const prefix of [1, {}, ["a"]]) wrongType(/^prefix must be a string/, () => kv.watch({ prefix }));
  for (const signal of [1, {}, new AbortController(), "x"]) wrongType(/^signal must be an AbortSignal, not /, () => kv.watch({ signal }));
  fails("INVALID", /^keys is empty: leave it out to watch all keys$/, () => kv.watch({ keys: [] }));
  fails("INVALID", /^a watch has either keys or a prefix$/, () => kv.watch({ keys: ["a"], prefix: "b" }));
  fails("INVALID", /empty/, () => kv.watch({ keys: ["a", ""] }));
  fails("INVALID", /UTF-8/, () => kv.watch({ prefix: Buffer.of(0xff) }));
  fails("LIMIT", /4097/, () => kv.watch({ prefix: "x".repeat(4097) }));
  const keys = Array.from({ length: 1001 }, (_, index) => `${index}`);
  fails("LIMIT", /1001 keys were to be watched; the limit is 1000/, () => kv.watch({ keys }));
  const watch = kv.watch({ keys: keys.slice(1) });
  for (const time of ["1", null, 1n, {}, true]) {
    await assert.rejects(() => watch.next(time), { name: "TypeError", message: /^the timeout must be a number, not / });
  }
  for (const time of [NaN, -1, -Infinity]) {
    const message = `the timeout must be a number of milliseconds from 0, not ${time}`;
    await assert.rejects(() => watch.next(time), { name: "RangeError", message });
  }
  kv.put("1000", "v");
  assert.equal(short(watch.poll()), "+1000");
  wrongType(/a Watch comes from watch\(\)/, () => new Watch());
}));

test("waiting takes no thread of libuv's pool", async () => {
  const path = scratch("export.json");
  const out = await script(`
    import { readFile } from "node:fs/promises";
    import { Store } from "luat-kv-native";
    const kv = Store.openMemory().namespace("n");
    const all = Array.from({ length: 10 }, () => kv.watch().ref().next());
    await new Promise((resolve) => setTimeout(resolve, 20));
    await kv.exportAsync(process.argv.at(-1));
    await readFile(process.argv.at(-1));
    kv.put("k", "v");
    console.log((await Promise.all(all)).length);`, { args: [path], env: { UV_THREADPOOL_SIZE: "1" } });
  assert.equal(out, "10\n");
});

const waiting = (end) => `
  import { Store } from "luat-kv-native";
  const kv = Store.open(process.argv.at(-1)).namespace("n");
  const watch = kv.watch();
  (async () => { for await (const { name } of watch) console.log(name); })();
  kv.watch().next(60_000);
  ${end}`;

test("a wait lets the process end, unless the watch is referenced", async () => {
  const ends = {
    "": "",
    "setTimeout(() => kv.put('a', '1'), 20); setTimeout(() => {}, 3000);": "a\n",
    "watch.ref().unref();": "",
    "watch.ref(); setTimeout(() => kv.put('a', '1'), 20).unref(); setTimeout(() => watch.unref(), 3000).unref();": "a\n",
    "watch.ref(); setTimeout(() => { kv.put('a', '1'); setTimeout(() => watch.close(), 3000).unref(); }, 20).unref();": "a\n",
    "kv.watch().ref().next(20).then((changes) => console.log(changes.length));": "0\n",
    "setImmediate(() => process.exit(0));": "",
  };
  // The times are long enough for a busy machine.
  const run = async ([end, out]) => assert.equal(await script(waiting(end), { args: [scratch()] }), out, end);
  await Promise.all(Object.entries(ends).map(run));
});

test("where the system has no descriptor, a watch looks from time to time", async () => {
  const [source, library] = [scratch("no_fd.c"), scratch("no_fd.so")];
  const { LUAT_KV_LIBRARY } = process.env;
  writeFileSync(source, "int luat_kv_watch_fd(void *watch, int *fd, void **error) { *fd = -1; (void)watch, (void)error; return 0; }");
  const link = ["-Wl,--no-as-needed", LUAT_KV_LIBRARY, `-Wl,-rpath,${dirname(LUAT_KV_LIBRARY)}`];
  await run("cc", ["-shared", "-fPIC", "-o", library, source, ...link]);
  const code = waiting(`
    const { readdirSync, readFileSync } = await import("node:fs");
    watch.ref();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const threads = readdirSync("/proc/self/task").map((id) => readFileSync("/proc/self/task/" + id + "/comm", "utf8"));
    console.log(threads.includes("luat_kv watch\\n"));
    kv.put("a", "1");
    setTimeout(() => watch.close(), 3000).unref();`);
  assert.equal(await script(code, { args: [scratch()], env: { LUAT_KV_LIBRARY: library } }), "false\na\n");
  assert.equal(await script(code, { args: [scratch()] }), "true\na\n");
});

test("watches leave nothing: closed ones, and forgotten ones that do not wait", async () => {
  const out = await script(`
    import { readdirSync } from "node:fs";
    import { Store } from "luat-kv-native";
    const kv = Store.openMemory().namespace("n");
    const files = () => readdirSync("/proc/self/fd").length;
    const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
    const controller = new AbortController();
    const before = files();
    async function rounds(count) {
      for (let i = 0; i < count; i++) {
        const watch = kv.watch({ keys: ["k"], values: "json", signal: controller.signal }).ref();
        const next = watch.next();
        if (i % 100 === 0) await turn();
        if (i % 2 === 0) { kv.put("k", { i }); await next; }
        watch.close();
        await next;
      }
      gc();
      return process.memoryUsage().rss;
    }
    const growth = [];
    let last = await rounds(5_000);
    do {
      const now = await rounds(10_000);
      growth.push((now - last) / 10_000);
      last = now;
    } while (growth.at(-1) > 50 && growth.length < 12);
    if (growth.at(-1) > 50) console.log("memory", ...growth);
    let forgotten = Array.from({ length: 50 }, () => kv.watch({ signal: controller.signal }).ref());
    for (const watch of forgotten) {
      // On a slow machine the time may be over before it waits, for which it opens a descriptor.
      for (const count = files(); files() === count; ) await watch.next(1);
    }
    const open = files();
    forgotten = null;
    for (let i = 0; i < 5_000 && files() > before + 2; i++) { gc(); await turn(); }
    console.log(open >= before + 50, files() <= before + 2);`);
  assert.equal(out, "true true\n");
});
