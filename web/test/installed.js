// The package as it is published: packed, and installed in an empty folder.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));

export const run = promisify(execFile);

/** Returns npm's description of the packed package, the folder of a program that has installed it, and remove(). */
export async function install() {
  const top = await mkdtemp(join(tmpdir(), "luat-kv-web-"));
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", top], { cwd: root });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("[")));
  const folder = join(top, "app");
  await mkdir(folder);
  await writeFile(join(folder, "package.json"), '{ "type": "module", "private": true }');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", join(top, packed.filename)], { cwd: folder });
  return { packed, folder, remove: () => rm(top, { recursive: true, force: true, maxRetries: 5 }) };
}

export const readme = () => readFile(join(root, "README.md"), "utf8");

/** The README's examples in a language, without the fences. */
export async function examples(language) {
  return [...(await readme()).matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, "g"))].map(([, code]) => code);
}
