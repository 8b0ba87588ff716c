// Tokens of watches: where a watch goes on from one, what a token covers, and what is refused.

import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Store } from "luat-kv-native";
import { fails, onEach, scratch, script, short, wrongType } from "./support.js";

/** What a watch reports that goes on from a token. */
function since(kv, token) {
  const watch = kv.watch({ since: token });
  const told = short(watch.poll());
  watch.close();
  return told;
}

function put(kv, ...names) {
  for (const name of names) kv.put(name, "1");
}

test("a watch goes on from a token", onEach(async (kv) => {
  put(kv, "a", "b", "c");
  const watch = kv.watch();
  const first = watch.token();
  assert.equal(since(kv, first), "");
  kv.delete("a");
  kv.put("b", "2");
  put(kv, "d");
  assert.deepEqual([since(kv, first), watch.token()], ["-a +b +d", first]);
  const later = kv.watch({ since: Buffer.from(first), values: true });
  assert.deepEqual((await later.next()).map(({ name, value }) => [name, value]), [["a", undefined], ["b", "2"], ["d", "1"]]);
  assert.deepEqual([short(watch.poll()), later.poll()], ["-a +b +d", []]);
  assert.deepEqual([watch.token(), since(kv, watch.token())], [later.token(), ""]);
  kv.delete("d");
  assert.deepEqual([since(kv, watch.token()), since(kv, first)], ["-d", "-a +b"]);
  for (const none of [undefined, null, "", new Uint8Array()]) assert.deepEqual(kv.watch({ since: none, existing: false }).poll(), []);
}));

test("a token covers the changes that were passed on, and no others", onEach(async (kv) => {
  const watch = kv.watch().ref();
  put(kv, "a", "b", "c", "d");
  const seen = [];
  for await (const { name } of watch) {
    seen.push(since(kv, watch.token()));
    if (name === "b") {
      kv.put("a", "2");
      seen.push(since(kv, watch.token()), short(watch.poll()), since(kv, watch.token()));
    }
    if (name === "a" && seen.length > 1) break;
  }
  assert.deepEqual(seen, ["+b +c +d", "+c +d", "+a +c +d", "+c +d", "+a", ""]);
  const reader = kv.watch({ existing: true }).ref();
  const stream = reader.stream().getReader();
  assert.equal(since(kv, reader.token()), "+a +b +c +d");
  await stream.read();
  assert.equal(since(kv, reader.token()), "+b +c +d");
  assert.equal(short(await reader.next()), "+b +c +d");
  assert.equal(since(kv, reader.token()), "");
  kv.put("c", "2");
  assert.deepEqual([since(kv, reader.token()), (await stream.read()).value.name], ["+c", "c"]);
  assert.equal(since(kv, reader.token()), "");
}));

test("while a call waits, the token is that of what was returned before", onEach(async (kv) => {
  const watch = kv.watch().ref();
  put(kv, "a", "b");
  const seen = [];
  const follow = (async () => {
    for await (const { name } of watch) seen.push([name, since(kv, watch.token())]);
  })();
  assert.equal(since(kv, watch.token()), "+a +b");
  while (seen.length < 2) await sleep(1);
  assert.deepEqual(seen, [["a", "+b"], ["b", ""]]);
  put(kv, "c");
  assert.equal(since(kv, watch.token()), "+c");
  while (seen.length < 3) await sleep(1);
  assert.deepEqual([seen[2], since(kv, watch.token())], [["c", ""], ""]);
  watch.close();
  await follow;
}));

test("a token outlives its process", async () => {
  const path = scratch();
  const token = await script(`
    import { Store } from "luat-kv-native";
    const kv = Store.open(process.argv.at(-1)).namespace("n");
    const watch = kv.watch().ref();
    for (const name of ["a", "b", "c"]) kv.put(name, "1");
    for await (const change of watch) {
      process.stdout.write(watch.token());
      break;
    }`, { args: [path] });
  const writer = Store.open(path);
  writer.namespace("n").put("a", "2");
  writer.namespace("n").delete("b");
  writer.close();
  const store = Store.open(path);
  assert.equal(since(store.namespace("n"), token), "+a +c");
  store.close();
});

test("a token serves a watch of other keys, and may be long", onEach((kv) => {
  const names = Array.from({ length: 500 }, (_, index) => `a:${index}`);
  put(kv, ...names, "b:1");
  const token = kv.watch({ prefix: "a:" }).token();
  assert(token.length > 10_000);
  kv.delete("a:2");
  assert.equal(since(kv, token), "-a:2 +b:1");
  assert.equal(short(kv.watch({ keys: ["a:1", "a:2"], since: token }).poll()), "-a:2");
}));

test("what is no token", onEach((kv, store) => {
  const token = kv.watch().token();
  for (const wrong of [1, true, {}, [token], new Uint16Array(2)]) wrongType(/^since must be a string or a Uint8Array, not /, () => kv.watch({ since: wrong }));
  wrongType(/unknown option sinse: did you mean since\?/, () => kv.watch({ sinse: token }));
  for (const garbled of ["x", token.slice(1), token.slice(0, -1), `${token}A`, "\ud800", "\u{10000}"]) {
    fails("INVALID", /the token is malformed/, () => kv.watch({ since: garbled }));
  }
  fails("INVALID", /UTF-8/, () => kv.watch({ since: Buffer.of(0xff) }));
  fails("INVALID", /a watch begins either with what exists or since a token/, () => kv.watch({ since: token, existing: true }));
  fails("INVALID", /the token comes from the namespace "test"/, () => store.namespace("other").watch({ since: token }));
  const other = Store.openMemory();
  fails("INVALID", /the token comes from another store/, () => other.namespace("test").watch({ since: token }));
  other.close();
}));

test("after the store is closed, a token is that of its end", async () => {
  const path = scratch();
  const store = Store.open(path);
  const kv = store.namespace("test");
  const [loop, idle, waiting] = Array.from({ length: 3 }, () => kv.watch().ref());
  put(kv, "a", "b");
  assert.equal(short(await waiting.next()), "+a +b");
  const next = assert.rejects(waiting.next(), { code: "INVALID", message: "the store is closed" });
  await assert.rejects(async () => {
    for await (const { name } of loop) {
      assert.equal(name, "a");
      store.close();
    }
  }, { code: "INVALID", message: "the store is closed" });
  await next;
  fails("INVALID", /^the store is closed$/, () => loop.poll());
  const again = Store.open(path);
  const told = [loop, idle, waiting].map((watch) => since(again.namespace("test"), watch.token()));
  assert.deepEqual(told, ["+b", "+a +b", ""]);
  idle.close();
  fails("INVALID", /^the watch is closed$/, () => idle.token());
  again.close();
});

test("a closed watch has no token", onEach((kv) => {
  const closed = kv.watch();
  closed.close();
  fails("INVALID", /^the watch is closed$/, () => closed.token());
  const controller = new AbortController();
  const aborted = kv.watch({ signal: controller.signal });
  controller.abort();
  assert.throws(() => aborted.token(), { name: "AbortError" });
}));
