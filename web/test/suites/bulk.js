// Exports and imports.

import { bytes, equal, fails, ok, streamOf } from "./check.js";

const fresh = async ({ Store }, options) => (await Store.open(options)).namespace("test");
const encode = (text) => new TextEncoder().encode(text);
const soon = () => Math.floor(Date.now() / 1000) + 1000;

export default {
  async "an export is Wrangler's JSON, or JSON Lines of the same"(api) {
    const kv = await fresh(api);
    equal([await kv.export(), await kv.export({ format: "jsonl" })], ["[\n\n]\n", ""]);
    const expiration = soon();
    await kv.put("a", 'quo"te\n\u2028', { expiration, metadata: { b: [1] } });
    await kv.put("b", bytes(0xff, 0x00, 0xfe));
    const records = [
      `{"key":"a","value":"quo\\"te\\n\u2028","expiration":${expiration},"metadata":{"b":[1]}}`,
      '{"key":"b","value":"/wD+","base64":true}',
    ];
    equal(await kv.export(), `[\n${records.join(",\n")}\n]\n`);
    equal(await kv.export({ format: "jsonl" }), `${records.join("\n")}\n`);
  },

  async "an import of an export is the same again, in any shape of input"(api) {
    const kv = await fresh(api);
    for (let index = 0; index < 1500; index++) kv.sync.put(`k${index}`, `\u0000${index}"\\`, { metadata: { index } });
    kv.sync.put(
      "bytes",
      Uint8Array.from({ length: 256 }, (_, index) => index),
    );
    for (const format of ["json", "jsonl"]) {
      const text = await kv.export({ format });
      for (const from of [text, `\ufeff  \n${text}`, encode(text), encode(text).buffer, new Response(text).body]) {
        const other = await fresh(api);
        equal(await other.import(from), { stored: 1501, skipped: 0 });
        equal(await other.export({ format }), text);
        equal(await other.import(text), { stored: 0, skipped: 1501 });
        equal(await other.import(text, { replace: true }), { stored: 1501, skipped: 0 });
        await other.store.close();
      }
    }
  },

  async "what is there stays, unless it is to be replaced; what has expired is left out"(api) {
    const kv = await fresh(api);
    await kv.put("a", "old");
    const text =
      '{"key":"a","value":"new"}{"key":"b","value":"1","expiration":5}\n{"key":"c","value":"1","expiration_ttl":50}';
    equal(await kv.import(text), { stored: 1, skipped: 2 });
    equal(
      await kv.get(["a", "b"]),
      new Map([
        ["a", "old"],
        ["b", null],
      ]),
    );
    const left = (await kv.getWithMetadata("c")).expiration - Date.now() / 1000;
    ok(left > 48 && left <= 51, `${left}`);
    equal(await kv.import(text, { replace: true }), { stored: 2, skipped: 1 });
    equal(await kv.get("a"), "new");
    const twice = '[{"key":"t","value":"1"},{"key":"t","value":"2"}]';
    equal([await kv.import(twice), await kv.get("t")], [{ stored: 1, skipped: 1 }, "1"]);
    equal([await kv.import(twice, { replace: true }), await kv.get("t")], [{ stored: 2, skipped: 0 }, "2"]);
  },

  async "what has expired removes its key where it replaces"(api) {
    const kv = await fresh(api);
    const text = '{"key":"a","value":"new","expiration":5}';
    await kv.put("a", "old");
    equal([await kv.import(text), await kv.get("a")], [{ stored: 0, skipped: 1 }, "old"]);
    equal([await kv.import(text, { replace: true }), await kv.get("a")], [{ stored: 0, skipped: 1 }, null]);
    const newer = `${text}{"key":"a","value":"newer"}`;
    equal([await kv.import(newer, { replace: true }), await kv.get("a")], [{ stored: 1, skipped: 1 }, "newer"]);
  },

  async "what Wrangler takes is taken"(api) {
    const kv = await fresh(api);
    const text = `[
      { "key": "more", "ttl": 5, "ttl": 6, "value": "text", "tags": [{ "a": "]}" }, -1.5e3, null, true] },
      { "key": "wrapped", "value": "AAEC\\n  AwQF\\r\\nBg==\\n", "base64": true },
      { "key": "float", "value": "", "expiration_ttl": 3600.0 },
      { "key": "until", "value": "", "expiration": 4.102444800e9 }
    ]`;
    equal(await kv.import(text), { stored: 4, skipped: 0 });
    equal(await kv.get("more"), "text");
    equal([...new Uint8Array(await kv.get("wrapped", "arrayBuffer"))], [0, 1, 2, 3, 4, 5, 6]);
    const left = (await kv.getWithMetadata("float")).expiration - Date.now() / 1000;
    ok(left > 3590 && left <= 3601, `${left}`);
    equal((await kv.getWithMetadata("until")).expiration, 4102444800);
  },

  async "metadata is kept as it is"(api) {
    const kv = await fresh(api);
    const metadata =
      '{ "big": 123456789012345678901234567890, "float": 1.0,\n "text": "\\u0041}]" , "list": [ [], {} ] }';
    await kv.import(
      `[{"key":"a","value":"1","metadata":${metadata}},
        {"key":"b","value":"1","metadata":null,"expiration":null,"base64":null}]`,
    );
    ok((await kv.export()).includes(`"metadata":${metadata.replace("\n", " ")}}`), await kv.export());
    equal((await kv.getWithMetadata("b")).metadata, null);
  },

  async "under Cloudflare's limits, little may be left of a lifetime"(api) {
    const kv = await fresh(api, { limits: "cloudflare" });
    const expiration = Math.floor(Date.now() / 1000) + 20;
    equal(
      await kv.import(
        `[{"key":"a","value":"1","expiration":${expiration}},{"key":"b","value":"1","expiration_ttl":60}]`,
      ),
      { stored: 2, skipped: 0 },
    );
    equal((await kv.getWithMetadata("a")).expiration, expiration);
    ok((await kv.getWithMetadata("b")).expiration > expiration + 30);
    await fails(() => kv.import('[{"key":"c","value":"1","expiration_ttl":59}]'), "LIMIT", 'line 1, key "c"');
    await fails(() => kv.import(`{"key":"${"k".repeat(513)}","value":"1"}`), "LIMIT", "512");
  },

  async "what is wrong is told with its line, and nothing is stored"(api) {
    const kv = await fresh(api);
    const good = '{"key":"good","value":"1"}';
    const wrong = [
      ["INVALID", "line 2, column 10: missing field `key`", `${good}\n{"ttl":5}`],
      ["INVALID", "line 2, column 12: `more` is not JSON", `${good}\n{"more":tru}`],
      ["INVALID", "line 4", `[${good},\n{\n"key":"a",\n"value":5\n}\n]`],
      ["INVALID", "line 4", `[${good},\n{\n"key":"a",\n"value":"!",\n"base64":true\n}\n]`],
      ["INVALID", "milliseconds", `${good}{"key":"a","value":"","expiration":1700000000000}`],
      ["INVALID", "empty", ""],
      ["INVALID", "empty", "\ufeff \n"],
      ["INVALID", "duplicate field `key`", `${good}{"key":"a","key":"b","value":"1"}`],
      ["INVALID", "missing field `value`", `${good}{"key":"a"}`],
      ["INVALID", "line 3", `[${good},\n{"key":"a",\n"value":5}]`],
      ["INVALID", "line 2", `[${good},\n5]`],
      ["INVALID", "line 2", `[${good},\n{"key":"a","va`],
      ["INVALID", "it ends here", `[${good},\n{"key":"a",`],
      ["INVALID", "trailing characters", `[${good}] x`],
      ["INVALID", "expected `,` or `]`", `[${good} ${good}]`],
      ["INVALID", "line 1", `[${good},]`],
      ["INVALID", 'line 2, key "a": the value is not base64', `${good}\n{"key":"a","value":"?","base64":true}`],
      ["INVALID", "not base64", `${good}{"key":"a","value":"QQ","base64":true}`],
      ["INVALID", "not base64", `${good}{"key":"a","value":"QR==","base64":true}`],
      ["INVALID", "whole number", `${good}{"key":"a","value":"1","expiration":1.5}`],
      ["INVALID", "64 bits", `${good}{"key":"a","value":"1","expiration":9223372036854775808}`],
      ["INVALID", "at least 1", `${good}{"key":"a","value":"1","expiration_ttl":0}`],
      ["INVALID", "boolean", `${good}{"key":"a","value":"1","base64":1}`],
      ["INVALID", "metadata", `${good}{"key":"a","value":"1","metadata":{"a":}}`],
      ["INVALID", "deep", `${good}{"key":"a","value":"1","metadata":${"[".repeat(100_000)}`],
      ["INVALID", "surrogate", `${good}{"key":"a","value":"\\ud800"}`],
      ["INVALID", "`value` is not a valid string", `${good}{"key":"a","value":"\\x"}`],
      ["INVALID", 'key ""', `${good}{"key":"","value":"1"}`],
      ["LIMIT", "line 3, key", `${good}\n\n{"key":"${"k".repeat(5000)}","value":"1"}`],
      ["LIMIT", "metadata", `${good}{"key":"a","value":"1","metadata":"${"m".repeat(70_000)}"}`],
      ["INVALID", "SQLite", "SQLite format 3\0 and so on"],
      ["INVALID", "UTF-8", bytes(0x5b, 0xff)],
      ["INVALID", "object", "text"],
    ];
    for (const [code, message, text] of wrong) await fails(() => kv.import(text), code, message);
    await fails(() => kv.import(streamOf("text")), "TypeError");
    await fails(() => kv.import(undefined), "TypeError");
    equal(await kv.count(), 0);
    equal(await kv.import(" [ ] \n"), { stored: 0, skipped: 0 });
  },

  async "large values, with and without escapes, do not take long"(api) {
    const kv = await fresh(api);
    const large = "x".repeat(20_000_000);
    const escaped = '"\\\n'.repeat(500_000);
    await kv.put("large", large);
    await kv.put("escaped", escaped);
    await kv.put("bytes", new Uint8Array(2_000_000).fill(0xff));
    const text = await kv.export();
    await kv.clear();
    equal(await kv.import(text), { stored: 3, skipped: 0 });
    ok((await kv.get("large")) === large && (await kv.get("escaped")) === escaped);
    await kv.store.close();
  },
};
