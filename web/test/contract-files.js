// The files for runContract(): luaunit, and the suites of tests/lua.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

export function contractFiles() {
  const find = ["-e", 'io.write(assert(package.searchpath("luaunit", package.path)))'];
  const luaunit = execFileSync("lua5.4", find, { encoding: "utf8" });
  const files = {
    "luaunit.lua": readFileSync(luaunit, "utf8"),
    "contract.lua": readFileSync(new URL("contract.lua", import.meta.url), "utf8"),
  };
  for (const folder of ["tests/lua", "tests/lua/contract"]) {
    for (const name of readdirSync(root + folder)) {
      if (name.endsWith(".lua")) files[`${folder}/${name}`] = readFileSync(`${root}${folder}/${name}`, "utf8");
    }
  }
  return files;
}
