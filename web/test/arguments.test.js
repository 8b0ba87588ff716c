import vm from "node:vm";
import test from "node:test";
import tests from "./suites/arguments.js";
import { bytes, equal, open, suite } from "./support.js";

suite(tests);

test("values of other realms are as good", async (t) => {
  const kv = await open(t);
  const other = (code) => vm.runInNewContext(code);
  for (const code of [
    "new Uint8Array([1, 2])",
    "new Uint8Array([1, 2]).buffer",
    "new DataView(new Uint8Array([1, 2]).buffer)",
  ]) {
    await kv.put("a", other(code));
    equal(await kv.get("a", "arrayBuffer"), bytes(1, 2).buffer);
  }
  await kv.put("a", "1", other("({ metadata: { a: [1] }, expirationTtl: 60 })"));
  equal((await kv.getWithMetadata("a")).metadata, { a: [1] });
  equal(
    [...(await kv.get(other("['a', 'b']")))],
    [
      ["a", "1"],
      ["b", null],
    ],
  );
});
