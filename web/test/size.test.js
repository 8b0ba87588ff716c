import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

test("the module without Lua has 112 kB at most, for a page waits for each of them", async () => {
  const { length } = await readFile(new URL("../luat_kv.wasm", import.meta.url));
  assert.ok(length <= 112_000, `it has ${length} bytes`);
});
