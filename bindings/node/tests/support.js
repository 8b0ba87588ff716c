// Helpers of the tests.

import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { LuatKVError, Store } from "luat-kv-native";

/** The folder of the tests. */
export const here = fileURLToPath(new URL(".", import.meta.url));
export const root = process.env.LUAT_KV_ROOT;
export const run = promisify(execFile);

const folder = mkdtempSync(join(tmpdir(), "luat-kv-node-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let files = 0;

/** A new path, at which no file exists. */
export function scratch(name = "kv.db") {
  return join(folder, `${++files}-${name}`);
}

/** With a server in LUAT_KV_TEST_POSTGRES: a store on a new database of it. */
function onServer() {
  return Store.open(execFileSync(join(root, "tests/postgres/database"), { encoding: "utf8" }).trim());
}

const stores = () => (process.env.LUAT_KV_TEST_POSTGRES ? [onServer()] : [Store.openMemory(), Store.open(scratch())]);

/** Runs a test body on a store in memory, then on one in a file, or on a server alone: body(namespace, store). */
export function onBoth(body) {
  return () => {
    for (const store of stores()) {
      try {
        body(store.namespace("test"), store);
      } finally {
        store.close();
      }
    }
  };
}

/** The same for a body that returns a promise. */
export function onEach(body) {
  return async () => {
    for (const store of stores()) {
      try {
        await body(store.namespace("test"), store);
      } finally {
        store.close();
      }
    }
  };
}

/** Changes of a watch in short: "+a" for a put, "-a" for a removal, "!a" for an expiry. */
export const short = (changes) =>
  changes.map(({ name, type, expired }) => (type === "put" ? "+" : expired ? "!" : "-") + name).join(" ");

/** Checks that a function throws a LuatKVError with a code and a message. */
export function fails(code, message, body) {
  assert.throws(body, (error) => {
    assert(error instanceof LuatKVError, `${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

export function wrongType(message, body) {
  assert.throws(body, { name: "TypeError", message });
}

export function outOfRange(message, body) {
  assert.throws(body, { name: "RangeError", message });
}

/** Runs a script in a new process, and returns its output. It must end by itself with status 0. */
export async function script(code, { env = {}, args = [], cwd = here } = {}) {
  const command = ["--expose-gc", "--input-type=module", "--eval", code, ...args];
  const { stdout } = await run(process.execPath, command, { env: { ...process.env, ...env }, cwd });
  return stdout;
}

/** Holds a file's write lock in another process, until the returned function is called. */
export async function locked(path) {
  const other = spawn("sqlite3", [path], { stdio: ["pipe", "pipe", "inherit"] });
  other.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n");
  await new Promise((resolve) => other.stdout.once("data", resolve));
  return () => new Promise((resolve) => other.once("exit", resolve) && other.stdin.end("ROLLBACK;\n"));
}
