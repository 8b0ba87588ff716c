// Compares src/abi.js, src/limits.js and the calls in src/ with include/luat_kv.h and the exports of the module.

import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { declarations } from "../scripts/declare.js";
import * as abi from "../src/abi.js";
import * as limits from "../src/limits.js";
import { equal, ok } from "./support.js";

const here = (path) => new URL(`../${path}`, import.meta.url);
const header = readFileSync(here("../include/luat_kv.h"), "utf8");
const code = header.replace(/\/\*[\s\S]*?\*\//g, "");

const module = new WebAssembly.Module(readFileSync(here("luat_kv.wasm")));
const exported = WebAssembly.Module.exports(module).map(({ name }) => name);
const declared = [...code.matchAll(/\b(luat_kv_\w+)\s*\(/g)].map(([, name]) => name);

/** Functions that need files, or an operating system. */
const FILES = ["open", "open_url", "open_project", "backup", "export", "import", "export_fd", "import_fd", "error_errno"].map(
  (name) => `luat_kv_${name}`,
);

/** Functions that would make the module larger. JavaScript does not need them. */
const LEFT_OUT = [
  ...["iter_open", "iter_next", "iter_free", "store_limits", "stats_cache", "entry_change"],
  ...["open", "next", "token", "fd", "free", "options_init"].map((name) => `watch_${name}`),
].map((name) => `luat_kv_${name}`);

/** Functions that the package does not use. */
const UNUSED = {
  luat_kv_version: "the package has its own",
  luat_kv_status_str: "ERRORS in src/abi.js has the names, since a call may have no memory for more",
  luat_kv_error_status: "it is the status of the call",
  luat_kv_put: "luat_kv_put_versioned does the same",
  luat_kv_add: "luat_kv_add_versioned does the same",
  luat_kv_delete: "luat_kv_remove reports more",
  luat_kv_get: "luat_kv_wasm_read returns more",
  luat_kv_get_entry: "luat_kv_wasm_read does the same in one call",
  luat_kv_entry_free: "entries are those of pages",
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

test("constants and structs are the header's", () => {
  equal(readFileSync(here("src/abi.js"), "utf8"), declarations(header), "run: make header");
  for (const name of ["ABI_VERSION", "LIMITS_CLOUDFLARE", "VERSION_SIZE", "INTERNAL", "BYTES", "LIST_OPTIONS"]) {
    ok(name in abi, name);
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
    ["alloc", "changed", "changes", "free", "load", "read", "replace"].map((name) => `luat_kv_wasm_${name}`),
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
  const source = readFileSync(here("../src/limits.rs"), "utf8");
  const unit = { KIB: 1024, MIB: 1024 * 1024 };
  const of = (name) => {
    const [, body] = new RegExp(`fn ${name}\\(self\\)[^{]*\\{([\\s\\S]*?)\\n    \\}`).exec(source);
    return ["Default", "Cloudflare"].map((which) => {
      const [, number, times] = new RegExp(`Limits::${which} => ([\\d_]+)(?: \\* (\\w+))?`).exec(body);
      return Number(number.replaceAll("_", "")) * (unit[times] ?? 1);
    });
  };
  equal(of("name_len"), limits.MAX_NAME);
  equal(of("value_len"), limits.MAX_VALUE);
  equal(of("metadata_len"), limits.MAX_METADATA);
  equal(of("keys_len"), limits.MAX_KEYS);
  equal(of("ttl"), limits.MIN_TTL);
  const [, most] = /const MOST_KEYS: usize = (\d+);/.exec(readFileSync(here("../src/watch.rs"), "utf8"));
  equal(Number(most), limits.MAX_WATCHED);
});
