// Compares src/abi.js and the calls in src/ with include/luat_kv.h and the exports of the module.

import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import * as abi from "../src/abi.js";
import { equal, ok } from "./support.js";

const here = (path) => new URL(`../${path}`, import.meta.url);
const header = readFileSync(here("../include/luat_kv.h"), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");

const module = new WebAssembly.Module(readFileSync(here("luat_kv.wasm")));
const exported = WebAssembly.Module.exports(module).map(({ name }) => name);
const declared = [...header.matchAll(/\b(luat_kv_\w+)\s*\(/g)].map(([, name]) => name);

/** Functions that need files, or an operating system. */
const FILES = ["open", "open_project", "backup", "export", "import", "export_fd", "import_fd", "error_errno"].map(
  (name) => `luat_kv_${name}`,
);

/** Functions that would make the module larger. JavaScript does not need them. */
const LEFT_OUT = ["iter_open", "iter_next", "iter_free", "store_limits"].map((name) => `luat_kv_${name}`);

/** Functions that the package does not use. */
const UNUSED = {
  luat_kv_version: "the package has its own",
  luat_kv_status_str: "src/abi.js has the names, since a call may have no memory for more",
  luat_kv_error_status: "it is the status of the call",
  luat_kv_put: "luat_kv_put_versioned does the same",
  luat_kv_add: "luat_kv_add_versioned does the same",
  luat_kv_delete: "luat_kv_remove reports more",
  luat_kv_take: "a value is read before it is removed",
  luat_kv_compact: "in memory there is nothing to do",
  luat_kv_checkpoint: "in memory there is nothing to do",
  luat_kv_store_path: "there is none",
  luat_kv_stats_path: "there is none",
  luat_kv_stats_file_size: "there is no file",
  luat_kv_put_options_init: "src/structs.js writes all of the struct",
  luat_kv_list_options_init: "src/structs.js writes all of the struct",
  luat_kv_incr_options_init: "src/structs.js writes all of the struct",
};

test("constants are the header's", () => {
  const numbers = [...header.matchAll(/#define LUAT_KV_(\w+) (-?\d+)/g)].map(([, name, value]) => [
    name,
    Number(value),
  ]);
  ok(numbers.length >= 25, `${numbers.length} constants`);
  for (const [name, value] of numbers) {
    if (value < 0) equal(abi.ERRORS[value], name);
    if (name in abi) equal(abi[name], value, name);
  }
  const names = new Set(numbers.map(([name]) => name));
  for (const [name, value] of Object.entries(abi)) {
    const isOwn = typeof value !== "number" || ["CLOUDFLARE_TTL"].includes(name);
    ok(isOwn || names.has(name), `${name} is no constant of the header`);
  }
  equal(Object.keys(abi.ERRORS).length, numbers.filter(([, value]) => value < 0).length);
});

test("structs are laid out as wasm32 has them", () => {
  const sizes = { uint32_t: 4, size_t: 4, pointer: 4, int64_t: 8, uint64_t: 8 };
  const structs = [...header.matchAll(/typedef struct (luat_kv_\w+) \{([^}]*)\}/g)];
  equal(structs.length, 6);
  const layouts = {};
  // Structs that are fields of others come first.
  for (const [, name, body] of structs.sort(([, a]) => (a === "luat_kv_bytes" ? -1 : 1))) {
    const layout = {};
    let [at, widest] = [0, 1];
    for (const [, type, star, field] of body.matchAll(/(?:const )?(?:struct )?(\w+) (\*?)(\w+);/g)) {
      const inner = layouts[type];
      const size = inner ? inner.size : sizes[star ? "pointer" : type];
      const align = inner ? 4 : size;
      at = Math.ceil(at / align) * align;
      layout[field] = at;
      at += size;
      widest = Math.max(widest, align);
    }
    layout.size = Math.ceil(at / widest) * widest;
    layouts[name] = layout;
    if (name === "luat_kv_limits") continue; // only luat_kv_store_limits() needs it
    equal(abi[name.replace("luat_kv_", "").toUpperCase()], layout, name);
  }
});

test("the module exports all of the header that needs no files", () => {
  ok(declared.length > 50, `${declared.length} functions`);
  for (const name of declared) {
    equal(exported.includes(name), !FILES.includes(name) && !LEFT_OUT.includes(name), name);
  }
  const own = exported.filter((name) => name.startsWith("luat_kv_") && !declared.includes(name));
  equal(
    own.sort(),
    ["alloc", "changes", "free", "load"].map((name) => `luat_kv_wasm_${name}`),
  );
});

test("the package calls all that it exports, or has no use for it", () => {
  const files = readdirSync(here("src"), { recursive: true }).filter((name) => name.endsWith(".js"));
  const source = files.map((name) => readFileSync(here(`src/${name}`), "utf8")).join("\n");
  for (const name of exported.filter((name) => name.startsWith("luat_kv_"))) {
    const short = name.replace("luat_kv_", "");
    const isUsed = new RegExp(
      `call\\.${short}\\b|exports\\.${name}\\b|luat_kv\\w*\\.${name}|raw\\.${name}\\b|"${name}"|range\\("${short}"`,
    ).test(source);
    equal(isUsed, !(name in UNUSED), name);
  }
});

test("limits are those of src/limits.rs", () => {
  const limits = readFileSync(here("../src/limits.rs"), "utf8");
  const unit = { KIB: 1024, MIB: 1024 * 1024 };
  const of = (name) => {
    const [, body] = new RegExp(`fn ${name}\\(self\\)[^{]*\\{([\\s\\S]*?)\\n    \\}`).exec(limits);
    return ["Default", "Cloudflare"].map((which) => {
      const [, number, times] = new RegExp(`Limits::${which} => ([\\d_]+)(?: \\* (\\w+))?`).exec(body);
      return Number(number.replaceAll("_", "")) * (unit[times] ?? 1);
    });
  };
  equal(of("name_len"), abi.NAME);
  equal(of("value_len"), abi.VALUE);
  equal(of("metadata_len"), abi.METADATA);
  equal(of("keys_len"), abi.KEYS);
  equal(of("ttl"), [1, abi.CLOUDFLARE_TTL]);
});
