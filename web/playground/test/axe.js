// axe-core (https://github.com/dequelabs/axe-core) looks for what would keep people from reading or using a page.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** It cannot tell the columns beneath a heading that goes over all of them, such as a namespace has in the table. */
const rules = { "th-has-data-cells": { enabled: false } };

/**
 * Answers { found, checked }: what is wrong in a page, or cannot be told, and how often a rule was kept. Of the page it
 * needs evaluate(), which calls a function there, or one that is a text.
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
