// The common part of WebDriver's two protocols: https://www.w3.org/TR/webdriver2/ and
// https://www.w3.org/TR/webdriver-bidi/

const KEYS = {
  Tab: "\uE004",
  Enter: "\uE007",
  Shift: "\uE008",
  Control: "\uE009",
  Escape: "\uE00C",
  ArrowUp: "\uE013",
  ArrowDown: "\uE015",
  Delete: "\uE017",
};

/** The actions for pressing keys. Each is a key's name or character, or a combination such as "Control+Enter". */
export function pressing(keys) {
  const actions = keys.flatMap((combination) => {
    const values = (combination === "+" ? ["+"] : combination.split("+")).map((name) => KEYS[name] ?? name);
    const down = values.map((value) => ({ type: "keyDown", value }));
    const up = values.map((value) => ({ type: "keyUp", value })).reverse();
    return [...down, ...up];
  });
  return [{ type: "key", id: "keyboard", actions }];
}

/** The source of a function that calls `run` with an argument as JSON, and returns { value } or { error } as JSON. */
export const called = (run) => `async (argument) => {
  try {
    return JSON.stringify({ value: await (${run})(JSON.parse(argument)) });
  } catch (error) {
    return JSON.stringify({ error: error instanceof Error ? \`\${error}\\n\${error.stack}\` : String(error) });
  }
}`;

export const argumentOf = (argument) => JSON.stringify(argument ?? null);

export function answerOf(text) {
  const { value, error } = JSON.parse(text);
  if (error !== undefined) throw new Error(error);
  return value;
}
