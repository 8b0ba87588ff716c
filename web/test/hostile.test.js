// Values and times that are not what they appear to be.

import test from "node:test";
import { fails, equal, open, ok } from "./support.js";

test("a view that lies outside of its memory by now is no empty value", async (t) => {
  const kv = await open(t);
  const buffer = new ArrayBuffer(8, { maxByteLength: 16 });
  const view = new Uint8Array(buffer, 4);
  buffer.resize(2);
  await kv.put("a", "1");
  await fails(() => kv.put("a", view), "TypeError");
  equal(await kv.get("a"), "1");
  buffer.resize(6);
  await kv.put("a", view);
  equal((await kv.get("a", "arrayBuffer")).byteLength, 2);
  await kv.put("a", new Uint8Array(0));
  equal(await kv.get("a"), "");
});

test("a stream that cannot be cancelled fails with what was wrong with it", async (t) => {
  const kv = await open(t);
  const read = async () => ({ value: "text" });
  const stream = (more) => ({ getReader: () => ({ read, releaseLock() {}, ...more }) });
  const wrong = "A stream that is stored must be one of Uint8Arrays";
  for (const cancel of [undefined, () => {}, () => Promise.reject(new Error("no"))]) {
    await fails(() => kv.put("a", stream({ cancel })), "TypeError", wrong);
  }
  const throws = () => {
    throw new Error("no");
  };
  await fails(() => kv.put("a", stream({ cancel: throws })), "TypeError", wrong);
});

test("what ends while an import goes on does not stop it", async (t) => {
  const kv = await open(t);
  const start = Math.floor(Date.now() / 1000) * 1000;
  let now = start;
  t.mock.method(Date, "now", () => (now += 400));
  const entry = (key) => JSON.stringify({ key, value: "1", expiration: start / 1000 + 2 });
  equal(await kv.import([..."abcdefgh"].map(entry).join("\n")), { stored: 8, skipped: 0 });
  now = start + 2000;
  equal(await kv.get("a"), null);
});

test("every expiration comes back from an export", async (t) => {
  const kv = await open(t);
  const last = 253_402_300_799; // the end of the year 9999
  await kv.put("ttl", "1", { expirationTtl: last - Math.ceil(Date.now() / 1000) - 60 });
  equal(await kv.import(`{"key":"last","value":"1","expiration":${last}}`), { stored: 1, skipped: 0 });
  const text = await kv.export({ format: "jsonl" });
  ok(text.includes(`"expiration":${last}}`), text);
  await kv.clear();
  equal(await kv.import(text), { stored: 2, skipped: 0 });
  equal(await kv.export({ format: "jsonl" }), text);
  const late = '{"key":"a","value":"1","expiration_ttl":9223372036854775807}';
  await fails(() => kv.import(late), "INVALID", "9999");
  await fails(() => kv.import(`{"key":"a","value":"1","expiration":${last + 1}}`), "INVALID", "milliseconds");
});

test("an export that is more than a string can hold is LIMIT", async (t) => {
  const kv = await open(t);
  await kv.put("a", "\u0001".repeat(100_000_000)); // six characters each
  await fails(() => kv.export(), "LIMIT", "the export is more than a string can hold");
});
