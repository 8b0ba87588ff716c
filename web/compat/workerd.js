// Runs Workers in workerd, Cloudflare's runtime, bundled like deployed ones, with the modules beside them.

import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { programOf, root } from "./programs.js";

const MODULES = ["luat_kv.wasm", "luat_kv_lua.wasm"];

const shown = (text) => JSON.stringify(text);

/** The configuration of a Worker, in Cap'n Proto's text format. */
function service({ name, date, bindings = [] }) {
  const modules = [
    `(name = ${shown(`${name}.js`)}, esModule = embed ${shown(`${name}.js`)})`,
    ...MODULES.map((file) => `(name = ${shown(`luat-kv/${file}`)}, wasm = embed ${shown(file)})`),
    `(name = "luat_kv.bytes", data = embed "luat_kv.wasm")`,
  ];
  const bound = bindings.map((to) => `(name = ${shown(to)}, service = ${shown(to)})`);
  const parts = [`modules = [${modules}]`, `bindings = [${bound}]`, `compatibilityDate = ${shown(date)}`];
  return `(name = ${shown(name)}, worker = (${parts}))`;
}

/**
 * Runs the test() of Workers, each { name, file, date, bindings }: the file of its code, its compatibility date, and the
 * names of the Workers that it may fetch(). Prints their output. Returns the exit status.
 */
export async function runWorkers(workers) {
  const folder = await mkdtemp(join(tmpdir(), "luat-kv-workerd-"));
  try {
    await mkdir(join(folder, "node_modules"));
    await symlink(root, join(folder, "node_modules/luat-kv"));
    for (const file of MODULES) await copyFile(join(root, file), join(folder, file));
    await build({
      entryPoints: Object.fromEntries(workers.map(({ name, file }) => [name, file])),
      outdir: folder,
      bundle: true,
      format: "esm",
      nodePaths: [join(folder, "node_modules")],
      external: ["*.wasm", "*.bytes"],
      logLevel: "warning",
    });
    const config = join(folder, "config.capnp");
    await writeFile(
      config,
      `using Workerd = import "/workerd/workerd.capnp";
      const config :Workerd.Config = (services = [${workers.map(service)}]);
      `,
    );
    return await exitOf(programOf("workerd"), ["test", config]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program with the output of this process. Returns its exit status. */
export function exitOf(program, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, options, { stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(signal === null ? code : 1));
  });
}
