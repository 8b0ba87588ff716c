import test from "node:test";
import * as api from "../src/index.js";

export * from "../src/index.js";
export * from "./suites/check.js";
export { api };

/** A new namespace, whose store is closed after the test. */
export async function open(t, options) {
  const store = await api.Store.open(options);
  t.after(() => store.close());
  return store.namespace("test");
}

/** Runs a suite in this process. */
export function suite(tests) {
  for (const [name, run] of Object.entries(tests)) test(name, () => run(api));
}
