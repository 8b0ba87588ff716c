// Stores of both packages for the tests: on a new file, and in WebAssembly.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Store as WebStore } from "luat-kv";
import WebKeyv from "luat-kv/keyv";
import webDriver from "luat-kv/unstorage";
import { Store } from "luat-kv-native";
import NativeKeyv from "luat-kv-native/keyv";
import nativeDriver from "luat-kv-native/unstorage";

const folder = mkdtempSync(join(tmpdir(), "luat-kv-adapters-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let files = 0;
/** A path at which there is no file yet. */
export const scratch = () => join(folder, `${++files}.db`);

export const packages = [
  { name: "luat-kv-native", open: async () => Store.open(scratch()), Keyv: NativeKeyv, driver: nativeDriver },
  { name: "luat-kv", open: () => WebStore.open(), Keyv: WebKeyv, driver: webDriver },
];
