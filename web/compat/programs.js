// The runtimes from npm: for each, the package for a platform, which has no install script.

import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

const isArm = process.arch === "arm64";
const PROGRAMS = {
  workerd: `@cloudflare/workerd-linux-${isArm ? "arm64" : "64"}/bin/workerd`,
  deno: `@deno/linux-${isArm ? "arm64" : "x64"}-glibc/deno`,
  bun: `@oven/bun-linux-${isArm ? "aarch64" : "x64"}/bin/bun`,
};

/** The path of a runtime's executable. */
export function programOf(name) {
  if (name === "node") return process.execPath;
  const path = fileURLToPath(new URL(`node_modules/${PROGRAMS[name]}`, import.meta.url));
  if (!existsSync(path)) throw new Error(`there is no ${path}: npm --prefix web/compat ci`);
  return path;
}
