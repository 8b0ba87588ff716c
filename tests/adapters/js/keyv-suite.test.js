// Keyv's own tests for stores: its package @keyv/test-suite.

import keyvTestSuite, { keyvIteratorTests } from "@keyv/test-suite";
import Keyv from "keyv";
import * as vitest from "vitest";
import { packages } from "./stores.js";

for (const { name, open, Keyv: Adapter } of packages) {
  vitest.describe(name, async () => {
    const kv = (await open()).namespace("keyv");
    const store = () => new Adapter(kv);
    keyvTestSuite(vitest, Keyv, store);
    keyvIteratorTests(vitest, Keyv, store);
  });
}
