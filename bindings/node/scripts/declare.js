// Writes lib/declarations.js from include/luat_kv.h: node scripts/declare.js <luat_kv.h >lib/declarations.js

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const squeeze = (text) => text.replace(/\s+/g, " ").trim();

/** Splits "const uint8_t *key" into its type and its name. */
function declarator(text) {
  const [, type, name] = /^(.*[ *])(\w+)$/.exec(squeeze(text));
  return [name, type.trim()];
}

/** What the header declares, as the text of a module. */
export function declarations(header) {
  const code = header.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*/g, "").replace(/(?<!typedef )struct /g, "");
  const constants = [...code.matchAll(/^#define LUAT_KV_(\w+) (-?\d+)$/gm)].map(([, name, n]) => [name, Number(n)]);
  const structs = [...code.matchAll(/^typedef struct (\w+) \{([^}]*)\}/gm)].map(([, name, fields]) => [
    name,
    Object.fromEntries(fields.split(";").filter((field) => field.trim()).map(declarator)),
  ]);
  const functions = [...code.matchAll(/^((?:const )?\w+ \**)(luat_kv_\w+)\(([^)]*)\);/gm)].map(
    ([, result, name, parameters]) => [
      name.replace("luat_kv_", ""),
      [squeeze(result), ...(squeeze(parameters) === "void" ? [] : parameters.split(",").map((p) => declarator(p)[1]))],
    ],
  );
  const lines = (entries, write) => entries.map(([name, value]) => `  ${name}: ${write(value)},\n`).join("");
  return [
    "// Written by scripts/declare.js from include/luat_kv.h. Do not edit.\n",
    `/** Numbers, without their LUAT_KV_. */\nexport const constants = {\n${lines(constants, String)}};\n`,
    "/** Structs: their fields and the types of these. */",
    `export const structs = {\n${lines(structs, (fields) => `{\n  ${lines(Object.entries(fields), JSON.stringify).replaceAll("\n", "\n  ")}}`)}};\n`,
    "/** Functions, without their luat_kv_: the type of the result, then those of the parameters. */",
    `export const functions = {\n${lines(functions, (types) => JSON.stringify(types).replaceAll('","', '", "'))}};\n`,
  ].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.stdout.write(declarations(readFileSync(0, "utf8")));
