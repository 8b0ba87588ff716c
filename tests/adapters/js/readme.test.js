// The examples of both READMEs print what they say.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

for (const readme of ["bindings/node/README.md", "web/README.md"]) {
  test(readme, (t) => {
    const text = readFileSync(join(process.env.LUAT_KV_ROOT, readme), "utf8");
    const [example, ...others] = [...text.matchAll(/```javascript\n([^]*?)```/g)].map(([, code]) => code);
    assert(example && others.length === 0);
    const folder = mkdtempSync(join(import.meta.dirname, "readme-"));
    t.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "example.mjs"), example);
    const printed = execFileSync(process.execPath, ["example.mjs"], { cwd: folder, encoding: "utf8" });
    const said = [...example.matchAll(/console\.log.*\/\/ (.*)/g)].map(([, line]) => `${line}\n`);
    assert.equal(printed, said.join(""));
  });
}
