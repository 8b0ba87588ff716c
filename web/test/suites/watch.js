// Watches: what has changed since the last time that one asked. Runs in Node, in a page and in a worker.

import { bytes, equal, fails, ok, sleep } from "./check.js";

const fresh = async ({ Store }, options) => (await Store.open(options)).namespace("test");

/** Changes in short: "+a" for a put, "-a" for a removal, "!a" for an expiry. */
const short = (changes) =>
  changes.map(({ name, type, expired }) => ({ put: "+", delete: expired ? "!" : "-" })[type] + name).join(" ");
const news = async (watch) => short(await watch.next(0));

/** Runs a function with a clock that stands, and that it can move by seconds. */
async function withClock(run) {
  const { now } = Date;
  let time = now();
  Date.now = () => time;
  try {
    await run((seconds) => (time += 1000 * seconds));
  } finally {
    Date.now = now;
  }
}

/** The short names of a loop's changes, which are added as they come. */
function followed(watch) {
  const seen = [];
  const follow = async () => {
    for await (const change of watch) seen.push(short([change]));
    return "ended";
  };
  const end = follow().catch((error) => `${error.name}: ${error.message}`);
  return { seen, end };
}

/** Keeps Node alive while something waits. */
async function awake(promise) {
  const timer = setInterval(() => {}, 1000);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

async function until(isSo) {
  for (let turn = 0; !isSo(); turn++) {
    ok(turn < 2000, `${isSo} did not come true`);
    await sleep(5);
  }
}

export default {
  async "next() returns the latest state of each key that has changed since, and nothing for what was there"(api) {
    const kv = await fresh(api);
    for (const key of ["old", "replaced", "removed"]) await kv.put(key, "1");
    const watch = kv.watch();
    equal(await watch.next(0), []);
    await kv.put("new", "1", { metadata: { x: 1 }, expiration: 4e9 });
    const version = await kv.put("replaced", "2");
    await kv.delete("removed");
    await kv.put("brief", "1");
    await kv.delete("brief");
    const { version: first } = await kv.getWithMetadata("new");
    const changes = await watch.next();
    equal(changes, [
      { name: "new", type: "put", version: first, expiration: 4e9, metadata: { x: 1 } },
      { name: "removed", type: "delete" },
      { name: "replaced", type: "put", version },
    ]);
    equal(Object.keys(changes[0]), ["name", "type", "version", "expiration", "metadata"]);
    equal(await watch.next(0), []);
    for (const value of ["1", "2", "3"]) await kv.put("old", value);
    await kv.touch("new");
    equal(await news(watch), "+new +old");
    await kv.store.close();
  },

  async "every way to write is told"(api) {
    const kv = await fresh(api);
    const { sync, store } = kv;
    await kv.put("a", "1");
    await kv.get("a");
    const watch = kv.watch();
    const ways = {
      "+a": [
        () => sync.put("a", "2"),
        () => kv.put("a", new Response("3").body),
        () => sync.touch("a", { expirationTtl: 100 }),
        () => sync.incr("a"),
        () => sync.import('[{"key":"a","value":"1"}]', { replace: true }),
        () => sync.atomic().put("a", "1").commit(),
        () => store.namespace("other").sync.atomic().namespace("test").incr("a").commit(),
      ],
      "-a": [
        () => sync.delete("a"),
        () => sync.take("a"),
        () => sync.deleteBulk(["a", "b"]),
        () => sync.deletePrefix("a"),
        () => sync.clear(),
        () => sync.atomic().delete("a").commit(),
        () => sync.import('[{"key":"a","value":"2","expiration":1}]', { replace: true }),
      ],
      "": [
        () => sync.add("a", "2"),
        () => sync.delete("b"),
        () => sync.atomic().check("a", null).put("a", "2").commit(),
        () => store.namespace("other").sync.put("a", "1"),
        () => fails(() => sync.put("a", "2", { expiration: 1 }), "INVALID"),
        () => store.sweep(),
        () => store.flush(),
      ],
    };
    for (const [wanted, writes] of Object.entries(ways)) {
      for (const write of writes) {
        if (!sync.add("a", "0")) equal(sync.get(["a"]).has("a"), true);
        await watch.next(0);
        await write();
        equal(await news(watch), wanted, `${write}`);
      }
    }
    sync.delete("a");
    await watch.next(0);
    sync.add("a", "1");
    equal(await news(watch), "+a");
    await store.close();
  },

  async "a prefix, some keys, or all"(api) {
    const kv = await fresh(api);
    const keys = ["b", "a1", "b", 7, "missing"];
    const watches = [{ prefix: "a" }, { keys }, { prefix: "" }].map((options) => kv.watch(options));
    const all = async () => Promise.all(watches.map(news));
    for (const key of ["a", "a1", "a2", "ab", "b", "c", "7"]) await kv.put(key, "1");
    equal(await all(), ["+a +a1 +a2 +ab", "+7 +a1 +b", "+7 +a +a1 +a2 +ab +b +c"]);
    await kv.deleteBulk(["a1", "b", "c"]);
    equal(await all(), ["-a1", "-a1 -b", "-a1 -b -c"]);
    // A key that begins with the name of another one is not that one.
    await kv.put("missing1", "1");
    equal(await all(), ["", "", "+missing1"]);
    await kv.put("missing", "1");
    equal(await all(), ["", "+missing", "+missing"]);
    await kv.store.close();
  },

  async "existing begins with what is there, and a key that is removed before the first call is not told"(api) {
    const kv = await fresh(api);
    for (const key of ["a", "b"]) await kv.put(key, key);
    const [kept, some] = [kv.watch({ existing: true, values: true }), kv.watch({ keys: ["a", "c"], existing: true })];
    const [loop, none] = [kv.watch({ existing: true }), kv.watch({ prefix: "x", existing: true })];
    const { version } = await kv.getWithMetadata("b");
    await kv.delete("a");
    await kv.put("c", "c");
    const [b, c] = await kept.next();
    equal([b, short([c]), await news(kept)], [{ name: "b", type: "put", version, value: "b" }, "+c", ""]);
    equal([await news(some), await news(none)], ["+c", ""]);
    const { seen, end } = followed(loop);
    await until(() => seen.length === 2);
    loop.close();
    equal([await end, seen], ["ended", ["+b", "+c"]]);
    await kv.delete("c");
    equal(await Promise.all([kept, some, none, kv.watch({ existing: false })].map(news)), ["-c", "-c", "", ""]);
    await kv.store.close();
    await fails(() => kv.watch({ existing: true }), "INVALID", "the store is closed");
  },

  async "a watch goes on from a token, also in another store that has the same"(api) {
    await withClock(async (move) => {
      const kv = await fresh(api);
      for (const key of ["a", "b", "c", "e"]) await kv.put(key, "1");
      await kv.put("d", "1", { expirationTtl: 10 });
      const watch = kv.watch();
      const first = watch.token();
      const since = (token, options) => news(kv.watch({ since: token, ...options }));
      equal([await since(first), await since(""), await since(null)], ["", "", ""]);
      await kv.delete("a");
      await kv.put("b", "2");
      await kv.put("f", "1");
      move(100);
      equal([await since(first), watch.token()], ["-a +b !d +f", first]);
      equal(await news(watch), "-a +b !d +f");
      const later = watch.token();
      equal([await since(later), kv.watch({ since: later }).token()], ["", later]);
      await kv.delete("e");
      equal([await since(first), await since(later)], ["-a +b !d -e +f", "-e"]);
      // A watch of other keys is told of those that only it has.
      equal([await since(later, { prefix: "b" }), await since(later, { keys: ["e", "f"] })], ["", "-e"]);
      const some = kv.watch({ keys: ["b"] }).token();
      equal([await since(some), await since(some, { keys: ["b", "c"] })], ["+c +f", "+c"]);
      const [b, ...others] = await kv.watch({ since: first, keys: ["b"], values: true }).next();
      equal([b.value, others], ["2", []]);
      equal(await news(watch), "-e");
      const waiting = watch.next();
      const last = watch.token(); // of the last answer, while it waits
      await kv.put("g", "1");
      equal([short(await waiting), await since(last)], ["+g", "+g"]);
      const end = watch.token();
      await kv.store.close();
      equal(watch.token(), end, "after the store is closed");
      watch.close();
      await fails(() => watch.token(), "INVALID", "the watch is closed");
    });
  },

  async "a token of a store that has gone tells what differs"(api) {
    const kv = await fresh(api);
    for (const key of ["a", "b"]) await kv.put(key, "1");
    const token = kv.watch().token();
    await kv.store.close();
    const other = await fresh(api); // the same writes have other versions here
    for (const key of ["b", "c"]) await other.put(key, "1");
    equal(await news(other.watch({ since: token })), "-a +b +c");
    await other.store.close();
  },

  async "a token covers what a loop or a stream has passed on, and not what follows"(api) {
    const kv = await fresh(api);
    const since = (token) => news(kv.watch({ since: token }));
    await kv.put("b", "0");
    const [watch, streamed] = [kv.watch(), kv.watch()];
    for (const key of ["a", "b", "c", "d"]) await kv.put(key, "1");
    await kv.delete("b");
    const left = [];
    for await (const { name } of watch) {
      left.push(await since(watch.token()));
      if (name === "b") equal([await news(watch), await since(watch.token())], ["+c +d", ""], "the rest");
      if (name === "b") await kv.put("e", "1");
      if (name === "e") break;
    }
    equal(left, ["-b +c +d", "+c +d", ""]);
    await fails(() => watch.token(), "INVALID", "the watch is closed");
    const reader = streamed.stream().getReader();
    for (const rest of ["-b +c +d +e", "+c +d +e", "+d +e"]) {
      await reader.read();
      equal(await since(streamed.token()), rest);
    }
    await reader.cancel();
    // Changes are not passed on before the loop runs that waits for them.
    const waits = kv.watch();
    const before = waits.token();
    const loop = waits[Symbol.asyncIterator]();
    const [one] = [loop.next(), kv.put("x", "1")];
    const following = one.then(() => waits.token());
    equal((await following) === before, false);
    equal(await since(await following), "");
    await kv.store.close();
  },

  async "a token has all names, in ASCII"(api) {
    const kv = await fresh(api);
    const names = ["\0", "a", "a/b:c%", "é", "ê", "\ue000", "\u{1f600}", "\u{1f601}", "\u{1f601}x", "%41", "ab".repeat(2048)];
    const many = Array.from({ length: 1000 }, (_, index) => `session:${String(index).padStart(12, "0")}`);
    for (const name of [...names, ...many]) kv.sync.put(name, "", { expiration: 4e9 });
    const token = kv.watch().token();
    ok(/^[-\w%:/.!~*'()]+$/.test(token), "it fits into a URL, a header and a cookie");
    equal(await news(kv.watch({ since: token })), "");
    const short = kv.watch({ prefix: "session:" }).token();
    ok(short.length < 45_000, `${short.length} characters for 1000 keys`);
    for (const name of names) kv.sync.delete(name);
    equal((await kv.watch({ since: token }).next(0)).map(({ name }) => name).sort(), names.sort());
    await kv.store.close();
  },

  async "a token that is garbled, forged or of another namespace is refused"(api) {
    const kv = await fresh(api);
    for (const key of ["aa", "ab", "b"]) await kv.put(key, "1", { expirationTtl: 100 });
    const token = kv.watch().token();
    const refused = (since, message) => fails(() => kv.watch({ since }), "INVALID", message);
    for (let at = 0; at < token.length; at++) {
      await refused(token.slice(0, at) || "x", "malformed");
      await refused(token.slice(0, at) + (token[at] === "1" ? "2" : "1") + token.slice(at + 1), "malformed");
    }
    const checked = (body) => {
      let sum = 0x811c9dc5;
      for (const character of body) sum = Math.imul(sum ^ character.charCodeAt(0), 0x01000193);
      return `${body}/${(sum >>> 0).toString(16).padStart(8, "0")}`;
    };
    const body = token.slice(0, -9);
    equal(checked(body), token);
    const version = "A".repeat(16);
    equal(await news(kv.watch({ since: checked(`w1/test/0:x:${version}:`) })), "+aa +ab +b -x");
    const fields = ["", "x", `1:x:${version}:`, `0::${version}:`, `0:x:${version}`, `0:x:${version}:-1`, `0:x:${version}:1:1`];
    fields.push(`-1:x:${version}:`, "0:x:A:", `0:%:${version}:`, `0:%ff:${version}:`, `0:${"x".repeat(20_000)}:${version}:`);
    fields.push(`0:x:${version}:/0:x:${version}:`, `0:x:${version}:/0:a:${version}:`, `0:x:${version}:/1::${version}:`);
    for (const field of fields) await refused(checked(`w1/test/${field}`), "malformed");
    await refused(checked("w1/%ff"), "malformed");
    await refused(checked("w1"), 'the namespace ""');
    for (const other of [checked("w2/test"), checked("")]) await refused(other, "the format of another version");
    await refused(kv.store.namespace("ü").watch().token(), 'the namespace "ü"');
    await refused("\ud800", "malformed");
    await kv.store.close();
  },

  async "changes are in the byte order of their keys, also those of more than a page"(api) {
    const kv = await fresh(api);
    const names = ["\ufffd", "\u{1f600}", "z", "\ue000", "é", "\u{1f600}a", "\ud7ff"];
    const sorted = ["z", "é", "\ud7ff", "\ue000", "\ufffd", "\u{1f600}", "\u{1f600}a"];
    const watches = [kv.watch(), kv.watch({ keys: names })];
    for (const name of names) await kv.put(name, "1");
    for (const watch of watches) equal((await watch.next(0)).map(({ name }) => name), sorted);
    await kv.deleteBulk(names.slice(0, 4));
    await kv.put("é", "2");
    const wanted = sorted.filter((name) => name === "é" || names.indexOf(name) < 4);
    for (const watch of watches) equal((await watch.next(0)).map(({ name }) => name), wanted);
    const many = Array.from({ length: 2500 }, (_, index) => `many ${String(index).padStart(4, "0")}`);
    const batch = kv.atomic();
    for (const name of many) batch.put(name, "1");
    batch.commit();
    equal((await watches[0].next(0)).map(({ name }) => name), many);
    equal((await kv.watch({ existing: true }).next(0)).length, 2500 + 3);
    await kv.clear();
    equal((await watches[0].next(0)).length, 2500 + 3);
    await kv.store.close();
  },

  async "values come as the type that is asked for, and one that is not of it does not hide the others"(api) {
    const kv = await fresh(api);
    const as = (values) => kv.watch({ values });
    const [none, text, json, buffer] = [as(false), as(true), as("json"), as("arrayBuffer")];
    await kv.put("a", '{"x":1}', { metadata: null });
    await kv.put("b", bytes(0xff));
    await kv.put("c", "x".repeat(100_000));
    await kv.put("d", "");
    const values = async (watch) => (await watch.next(0)).slice(0, 2).map(({ value }) => value);
    equal((await none.next(0)).map((change) => "value" in change), [false, false, false, false]);
    equal(await values(text), ['{"x":1}', "\ufffd"]);
    equal(await values(buffer), [bytes(123, 34, 120, 34, 58, 49, 125).buffer, bytes(0xff).buffer]);
    const [good, ...bad] = await json.next(0);
    equal([good.value, bad.length], [{ x: 1 }, 3]);
    for (const change of bad) {
      await fails(() => change.value, "SyntaxError", `the value of "${change.name}" is not JSON`);
    }
    await kv.delete("a");
    equal(await json.next(0), [{ name: "a", type: "delete" }]);
    await kv.store.close();
  },

  async "values beyond 16 MiB are left for the next call"(api) {
    const kv = await fresh(api);
    const watch = kv.watch({ values: "arrayBuffer" });
    await kv.put("e", "1");
    await watch.next(0);
    await kv.delete("e");
    for (const key of ["a", "b", "c", "d"]) await kv.put(key, new Uint8Array(9 * 2 ** 20));
    equal([await news(watch), await news(watch), await news(watch)], ["+a +b", "+c +d -e", ""]);
    const other = kv.watch({ existing: true, values: "arrayBuffer" });
    equal([await news(other), await news(other), await news(other)], ["+a +b", "+c +d", ""]);
    await kv.store.close();
  },

  async "an expiry is told from a removal"(api) {
    await withClock(async (move) => {
      const kv = await fresh(api);
      for (const key of ["deleted", "gone", "kept", "replaced"]) await kv.put(key, "1", { expirationTtl: 10 });
      const watches = [kv.watch(), kv.watch({ keys: ["deleted", "gone", "kept", "replaced"] })];
      await kv.delete("deleted");
      await kv.touch("kept");
      for (const watch of watches) equal(await news(watch), "-deleted +kept");
      move(100);
      await kv.put("replaced", "2");
      for (const watch of watches) equal(await watch.next(0).then(short), "!gone +replaced");
      kv.store.sweep();
      for (const watch of watches) equal(await news(watch), "");
      await kv.put("later", "1", { expirationTtl: 10 });
      equal(await news(watches[0]), "+later");
      move(100);
      equal(await watches[0].next(0), [{ name: "later", type: "delete", expired: true }]);
      await kv.store.close();
    });
  },

  async "a call waits for the change, for an expiry, or for the end of its time"(api) {
    const kv = await fresh(api);
    const watch = kv.watch({ prefix: "a" });
    let waiting = watch.next();
    setTimeout(() => kv.sync.put("b", "1"), 5);
    setTimeout(() => kv.sync.put("a", "1", { expirationTtl: 1 }), 20);
    equal(short(await waiting), "+a");
    equal(short(await awake(watch.next(60_000))), "!a"); // without a call of the store
    const began = performance.now();
    waiting = watch.next(50);
    await fails(() => watch.next(), "INVALID", "another call of next() waits with this watch");
    equal(await awake(waiting), []);
    ok(performance.now() - began > 45);
    waiting = watch.next(60_000);
    kv.sync.put("a", "1");
    kv.sync.put("a2", "1");
    kv.sync.delete("a");
    equal(short(await waiting), "+a2", "what one task does is told together");
    await kv.store.close();
  },

  async "what a batch changes comes together"(api) {
    const kv = await fresh(api);
    const watch = kv.watch();
    const waiting = watch.next();
    kv.atomic().put("b", "1").put("a", "1").commit();
    equal(short(await waiting), "+a +b");
    await kv.store.close();
  },

  async "a loop gets one change at a time, and to leave it closes the watch"(api) {
    const kv = await fresh(api);
    const watch = kv.watch({ prefix: "a", values: true });
    setTimeout(() => kv.atomic().put("a1", "x").put("a2", "y").put("b", "z").commit(), 5);
    const seen = [];
    for await (const { name, value } of watch) if (seen.push(name + value) === 2) break;
    equal(seen, ["a1x", "a2y"]);
    await fails(() => watch.next(), "INVALID", "the watch is closed");
    const other = kv.watch();
    const { seen: later, end } = followed(other);
    for (const key of ["a", "b"]) {
      kv.sync.put(key, "1");
      await until(() => later.at(-1) === `+${key}`);
    }
    other.close();
    other.close();
    equal([later, await end], [["+a", "+b"], "ended"]);
    // An iterator that waits can be ended from outside.
    const iterator = kv.watch()[Symbol.asyncIterator]();
    const next = iterator.next();
    equal(await iterator.return("why"), { done: true, value: "why" });
    equal([await next, await iterator.next()], Array(2).fill({ done: true, value: undefined }));
    await kv.store.close();
  },

  async "a stream of changes, which ends with the watch"(api) {
    const kv = await fresh(api);
    const watch = kv.watch();
    const reader = watch.stream().getReader();
    kv.atomic().put("a", "1").put("b", "1").commit();
    const read = async () => {
      const { done, value } = await reader.read();
      return done ? "done" : short([value]);
    };
    equal([await read(), await read()], ["+a", "+b"]);
    // It takes nothing before it is read: a slow reader gets the latest state.
    for (const value of ["1", "2", "3"]) await kv.put("c", value);
    await kv.delete("c");
    await kv.put("d", "1");
    equal(await read(), "+d");
    const waiting = read();
    await reader.cancel();
    equal(await waiting, "done");
    await fails(() => watch.next(), "INVALID", "the watch is closed");
    const closed = kv.watch();
    const rest = closed.stream().getReader();
    setTimeout(() => closed.close(), 5);
    equal((await rest.read()).done, true);
    const broken = kv.watch().stream().getReader();
    setTimeout(() => kv.store.close(), 5);
    await fails(() => broken.read(), "INVALID", "the store is closed");
  },

  async "a signal ends it with its reason, and the end of the store with an error"(api) {
    const kv = await fresh(api);
    const controller = new AbortController();
    const [waits, loops] = [0, 1].map(() => kv.watch({ signal: controller.signal }));
    const waiting = waits.next().catch((error) => error);
    const { seen, end } = followed(loops);
    kv.sync.put("a", "1");
    await until(() => seen.length === 1);
    equal(short(await waiting), "+a");
    const again = waits.next().catch((error) => error);
    controller.abort();
    const { reason } = controller.signal;
    ok((await again) === reason);
    ok((await waits.next().catch((error) => error)) === reason);
    equal([await end, seen], [`${reason.name}: ${reason.message}`, ["+a"]]);
    let thrown;
    try {
      kv.watch({ signal: controller.signal });
    } catch (error) {
      thrown = error;
    }
    ok(thrown === reason);
    const watch = kv.watch();
    const left = watch.next().catch(({ code, message }) => `${code} ${message}`);
    await kv.store.close();
    equal(await left, "INVALID the store is closed");
    await fails(() => watch.next(0), "INVALID", "the store is closed");
    await fails(() => kv.watch(), "INVALID", "the store is closed");
    watch.close();
  },

  async "what is wrong is refused"(api) {
    const kv = await fresh(api);
    const wrong = [
      ["TypeError", 5, "options must be an object, not number"],
      ["TypeError", { key: "a" }, 'did you mean "keys"?'],
      ["TypeError", { other: 1 }, 'unknown option "other": there are keys, prefix, existing, since, values, signal'],
      ["TypeError", { existing: 1 }, "existing must be a boolean, not number"],
      ["TypeError", { existing: null }, "existing must be a boolean, not null"],
      ["TypeError", { since: 1 }, "since must be a string, not number"],
      ["INVALID", { since: "x" }, "the token is malformed"],
      ["INVALID", { since: "x", existing: true }, "either with what exists or since a token"],
      ["TypeError", { keys: "a" }, "keys must be an array, not string"],
      ["TypeError", { keys: [{}] }, "the key must be a string"],
      ["TypeError", { keys: [""] }, "Key name cannot be empty."],
      ["INVALID", { keys: [] }, "keys is empty: leave it out to watch all keys"],
      ["INVALID", { keys: ["a"], prefix: "a" }, "a watch has either keys or a prefix"],
      ["LIMIT", { keys: Array(1001).fill("a") }, "1001 keys were to be watched; the limit is 1000"],
      ["LIMIT", { keys: ["x".repeat(4097)] }, "4097"],
      ["LIMIT", { prefix: "x".repeat(4097) }, "the prefix is 4097 bytes long"],
      ["TypeError", { prefix: {} }, "prefix must be a string"],
      ["TypeError", { values: "stream" }, "values must be one of text, json, arrayBuffer"],
      ["TypeError", { signal: {} }, "signal must be an AbortSignal, not an object"],
    ];
    for (const [code, options, message] of wrong) await fails(() => kv.watch(options), code, message);
    const watch = kv.watch(null);
    await fails(() => watch.next("1"), "TypeError", "timeout must be a number, not string");
    for (const timeout of [-1, NaN]) {
      await fails(() => watch.next(timeout), "RangeError", "timeout must be a number of milliseconds from 0");
    }
    await kv.put("a", "1");
    equal(await news(watch), "+a", "a wrong call loses nothing");
    await fails(() => new api.Watch(), "TypeError", "a Watch comes from watch() of a namespace");
    const limited = await fresh(api, { limits: "cloudflare" });
    await fails(() => limited.watch({ prefix: "x".repeat(513) }), "LIMIT", "414 UTF-8 encoded length of 513");
    await Promise.all([kv.store.close(), limited.store.close()]);
  },

  async "a script's writes are told while it runs, and those of its finalizers"(api) {
    const kv = await fresh(api);
    const watch = kv.watch({ values: "json" });
    const printed = [];
    const print = () => printed.push(watch.next(0).then(short));
    const lua = await api.Lua.create({ kv: kv.store, print });
    equal(await watch.next(0), [], "it has moved to another engine");
    lua.runSync(`kv = KV.namespace("test") for i = 1, 1e5 do kv:put("n", i) if i % 1e3 == 0 then print(i) end end`);
    const told = (await Promise.all(printed)).filter((changes) => changes !== "");
    ok(told.length > 1 && told.every((changes) => changes === "+n"), `${told}`);
    lua.runSync(`kv:put("a", 1) kv:put("b", { 2 }) kv:delete("a")`);
    const [b] = (await watch.next(0)).filter(({ name }) => name !== "n");
    equal([b.name, b.value, await news(watch)], ["b", [2], ""]);
    const waiting = watch.next();
    const running = lua.run(`kv:put("d", 4) while not kv:has("e") do end return kv:get("e")`);
    equal(short(await waiting), "+d", "while it runs");
    kv.sync.put("e", "5");
    equal([await running, await news(watch)], [["5"], "+e"]);
    lua.runSync(`setmetatable({}, { __gc = function() kv:put("late", 1) end })`);
    const last = watch.next();
    lua.close();
    equal(short(await last), "+late");
    await kv.store.close();
  },

  async "a watch that others keep busy leaves them time, and misses nothing"(api) {
    const kv = await fresh(api);
    const batch = kv.atomic();
    for (let index = 0; index < 2000; index++) batch.put(`key ${index}`, "0");
    batch.commit();
    const watch = kv.watch({ prefix: "key", values: true });
    const latest = new Map();
    let calls = 0;
    const follow = async () => {
      for (;;) {
        const changes = await watch.next();
        if (changes.length === 0) return;
        calls++;
        for (const { name, value } of changes) latest.set(name, value);
      }
    };
    const end = follow();
    for (let round = 0; round < 300; round++) {
      await kv.put(`key ${round % 7}`, String(round));
      if (round % 3 === 0) await sleep(0);
    }
    await until(() => latest.get(`key ${299 % 7}`) === "299");
    equal([...latest.values()].map(Number).sort(), [293, 294, 295, 296, 297, 298, 299]);
    ok(calls <= 300, `${calls} calls`);
    watch.close();
    await end;
    await kv.store.close();
  },
};
