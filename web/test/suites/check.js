// The assertions of the suites, for Node and for pages.

/** Converts any value to a text that can be compared. */
export function show(value) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer ${show(Array.from(new Uint8Array(value)))}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} ${show(Array.from(value))}`;
  if (value instanceof Map) return `Map {${[...value].map(([key, of]) => `${show(key)} => ${show(of)}`).join(", ")}}`;
  const fields = Object.keys(value).sort();
  return `{${fields.map((name) => `${name}: ${show(value[name])}`).join(", ")}}`;
}

export function equal(got, wanted, what = "") {
  const [a, b] = [show(got), show(wanted)];
  if (a !== b) throw new Error(`${what}\n  got    ${a.slice(0, 2000)}\n  wanted ${b.slice(0, 2000)}`);
}

export function ok(value, what) {
  if (!value) throw new Error(what ?? `${value} is not true`);
}

/**
 * Calls a function, which must throw, or whose promise must be rejected, with an error that has this name or code, or
 * one of these.
 */
export async function fails(run, code, message = "") {
  let error;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) throw new Error(`${run} did not fail`);
  const is = error.name === "LuatKVError" ? error.code : error.name;
  if (![code].flat().includes(is)) throw new Error(`${run} failed with ${is}, not ${code}: ${error.stack}`);
  const isSaid = message instanceof RegExp ? message.test(error.message) : error.message.includes(message);
  if (!isSaid) throw new Error(`${run} said ${JSON.stringify(error.message)}, not ${message}`);
  return error;
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export const bytes = (...values) => new Uint8Array(values);

export const streamOf = (...chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

/** All of a stream, as a Uint8Array. */
export const drained = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
