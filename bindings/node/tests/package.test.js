// The package as it is published: its types, its README, and its contents.

import assert from "node:assert/strict";
import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import * as luatKv from "luat-kv-native";
import { here, run, scratch } from "./support.js";

const root = join(here, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const example = /```js\n([^]*?)```/.exec(readme)[1];
const [, file] = /`node (\S+)`:\n\n```js/.exec(readme); // what README says to call it

function project(name, files) {
  const folder = scratch(name);
  mkdirSync(folder);
  for (const file in files) writeFileSync(join(folder, file), files[file]);
  return folder;
}

const printed = "alice 2\nsession:abc web\ntrue 1\n";

test("the types compile with tsc --strict, and refuse what is wrong", async () => {
  const options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022", "--module", "nodenext", "--types", "node"];
  await run(process.execPath, ["node_modules/typescript/bin/tsc", ...options, "tests/types.ts"], { cwd: root }).catch(
    ({ stdout }) => assert.fail(stdout),
  );
});

test("the types have what the classes have", () => {
  const types = readFileSync(join(root, "index.d.ts"), "utf8");
  const members = (type) => Object.getOwnPropertyNames(type.prototype).filter((name) => name !== "constructor").sort();
  for (const name of ["Store", "Namespace", "Atomic", "Watch"]) {
    const body = new RegExp(`^export class ${name}(?:<.*>)? \\{([^]*?)^\\}`, "m").exec(types)[1];
    const declared = [...body.matchAll(/^ {2}(?:readonly )?(\w+)[<(:]/gm)].map(([, member]) => member);
    const listed = [...new Set(declared)].filter((member) => !["private", "constructor"].includes(member)).sort();
    assert.deepEqual(listed, members(luatKv[name]));
    for (const member of listed) assert(new RegExp(`\\b${member.replace("Async", "")}`).test(readme), `README lacks ${member}`);
  }
  const exported = [...types.matchAll(/^export (?:class|function|const) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual([...new Set(exported)].sort(), Object.keys(luatKv).sort());
});

test("README's example has twenty lines at most", () => {
  assert(example.trim().split("\n").length <= 20);
});

test("what npm packs installs into an empty folder, and runs README's example as it stands", async () => {
  const folder = project("app", { "package.json": "{}", [file]: example });
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--silent"];
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: root });
  await run("npm", ["install", ...quiet, join(folder, stdout.trim())], { cwd: folder });
  const { stdout: files } = await run("ls", ["node_modules/luat-kv-native"], { cwd: folder });
  assert.deepEqual(files.split("\n").filter(Boolean), [
    "LICENSE-APACHE", "LICENSE-MIT", "README.md", "build", "index.d.ts", "index.js", "lib", "package.json", "scripts", "src",
  ]);
  assert.equal((await run(process.execPath, [file], { cwd: folder })).stdout, printed);
});

test("README's way to install it from its folder", async () => {
  const [, setting, command] = /^ {4}echo (\S+) >>\.npmrc\n {4}npm (install) PATH\/TO/m.exec(readme);
  const folder = project("foreign", { "package.json": '{ "type": "module" }', "example.js": example, ".npmrc": `${setting}\n` });
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--silent"];
  await run("npm", [command, ...quiet, root], { cwd: folder });
  assert.equal((await run(process.execPath, ["example.js"], { cwd: folder })).stdout, printed);
  // Without .npmrc, npm would replace the copy by a link, which has no addon.
  await run("npm", [command, ...quiet], { cwd: folder });
  rmSync(join(folder, "app.db"));
  assert(lstatSync(join(folder, "node_modules/luat-kv-native")).isDirectory());
  for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    const packed = readFileSync(join(folder, "node_modules/luat-kv-native", name), "utf8");
    assert.equal(packed, readFileSync(join(process.env.LUAT_KV_ROOT, name), "utf8"));
  }
  assert.equal((await run(process.execPath, ["example.js"], { cwd: folder })).stdout, printed);
});

test("the lock files name no registry, and versions are exact", () => {
  for (const folder of [root, join(process.env.LUAT_KV_ROOT, "bindings/node/bench")]) {
    const lock = readFileSync(join(folder, "package-lock.json"), "utf8");
    assert(!lock.includes('"resolved"'));
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const versions = Object.values({ ...dependencies, ...devDependencies });
    assert(versions.length > 0);
    for (const version of versions) assert.match(version, /^\d+\.\d+\.\d+$/);
  }
});
