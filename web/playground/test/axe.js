// Checks the accessibility of a page with axe-core (https://github.com/dequelabs/axe-core).

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** axe-core does not support a heading over all columns, such as that of a namespace in the table. */
const rules = { "th-has-data-cells": { enabled: false } };

/**
 * Returns { found, checked }: the violations and undecided cases in a page, and the number of rules that passed. The
 * page needs evaluate(), which calls a function there, or the source of one.
 */
export async function axe(page) {
  await page.evaluate(`() => { ${source} }`);
  return page.evaluate(`async () => {
    const { violations, incomplete, passes } = await globalThis.axe.run({ rules: ${JSON.stringify(rules)} });
    const told = ({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target, failureSummary].join(": "));
    const checked = passes.reduce((sum, { nodes }) => sum + nodes.length, 0);
    return { found: [...violations, ...incomplete].flatMap(told), checked };
  }`);
}
