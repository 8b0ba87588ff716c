// Compiles the addon, src/, when the package is installed: node scripts/build.js. If the package has one for this
// platform that loads here, there is nothing to do. The environment variables CC, CFLAGS and LDFLAGS are used as in make.
//
// It is one command of the C compiler, rather than node-gyp, which downloads the headers of the Node version and needs
// Python, make and a C++ compiler. Node-API is the same in all versions of Node, and its headers come from the npm
// package node-api-headers.

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { COMPILED, hasPrebuilt } from "../lib/addon.js";

const source = fileURLToPath(new URL("../src/", import.meta.url));
const words = (text) => (text ?? "").split(/\s+/).filter(Boolean);

function fail(message) {
  console.error(`luat-kv-native: ${message}`);
  process.exit(1);
}

function headers() {
  try {
    return createRequire(import.meta.url)("node-api-headers").include_dir;
  } catch (error) {
    return fail(
      "the npm package node-api-headers, which the addon is compiled with, is missing. npm leaves it out if it makes a " +
        `link to this package rather than a copy (--install-links). ${error.message}`,
    );
  }
}

function compile() {
  const [compiler, ...flags] = words(process.env.CC || "cc");
  const target = `${COMPILED}.${process.pid}`;
  const files = readdirSync(source).filter((name) => name.endsWith(".c")).map((name) => source + name);
  const library = process.platform === "darwin" ? ["-bundle", "-undefined", "dynamic_lookup"] : ["-shared", "-fPIC"];
  const options = ["-std=gnu11", "-O2", "-fvisibility=hidden", ...words(process.env.CFLAGS), `-I${headers()}`];
  const link = [...words(process.env.LDFLAGS), ...(process.platform === "linux" ? ["-ldl"] : [])];
  mkdirSync(dirname(COMPILED), { recursive: true });
  const command = [...flags, ...options, ...library, "-o", target, ...files, ...link];
  const { error, status } = spawnSync(compiler, command, { stdio: "inherit" });
  if (status === 0) return renameSync(target, COMPILED);
  rmSync(target, { force: true });
  if (error?.code === "ENOENT") {
    const platform = `${process.platform}-${process.arch}`;
    fail(
      `there is no prebuilt addon for ${platform}, and no C compiler (${compiler}) to compile it. Install one (Debian, ` +
        "Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc musl-dev; macOS: " +
        "xcode-select --install), or set CC to its command.",
    );
  }
  return fail(`the addon could not be compiled: ${error?.message ?? `${compiler} failed, see above`}`);
}

if (!hasPrebuilt()) compile();
