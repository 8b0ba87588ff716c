// Values: what may be stored, and what is read.

import { LuatKVError, kind } from "./error.js";

// ---- In

// A length that somebody has given an array or a class of his own (a field, a getter) is neither true nor harmless.
const getterOf = (prototype, name) => Object.getOwnPropertyDescriptor(prototype, name).get;
const arrays = Object.getPrototypeOf(Uint8Array.prototype);
const viewGetters = [arrays, DataView.prototype].map((prototype) => ({
  buffer: getterOf(prototype, "buffer"),
  offset: getterOf(prototype, "byteOffset"),
  length: getterOf(prototype, "byteLength"),
}));
const tagOf = getterOf(arrays, Symbol.toStringTag);
const keysOf = arrays.keys;
const bufferLength = getterOf(ArrayBuffer.prototype, "byteLength");
const sharedLength = globalThis.SharedArrayBuffer && getterOf(SharedArrayBuffer.prototype, "byteLength");
const reading = (get, value) => Reflect.apply(get, value, []);

function has(get, value) {
  try {
    reading(get, value);
    return true;
  } catch {
    return false;
  }
}

/** The bytes of a view or a buffer, of whatever realm, as a Uint8Array; null for anything else. */
export function bytesOf(value) {
  if (ArrayBuffer.isView(value)) {
    const isArray = reading(tagOf, value) !== undefined;
    const { buffer, offset, length } = viewGetters[isArray ? 0 : 1];
    // These throw where the memory was transferred to another thread, or is out of bounds by now. The getters of an
    // array would only say that it is empty.
    if (isArray) reading(keysOf, value);
    return new Uint8Array(reading(buffer, value), reading(offset, value), reading(length, value));
  }
  const isBuffer = has(bufferLength, value) || (sharedLength !== undefined && has(sharedLength, value));
  return isBuffer ? new Uint8Array(value) : null;
}

export function isStream(value) {
  const isObject = value !== null && typeof value === "object" && !ArrayBuffer.isView(value);
  return isObject && typeof value.getReader === "function";
}

const WRONG = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.";

/** What is to be stored, as a string or a Uint8Array. As with Workers KV, a number or a boolean is its text. */
export function storable(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
  const bytes = value !== null && typeof value === "object" ? bytesOf(value) : null;
  if (bytes !== null) return bytes;
  if (isStream(value)) throw new TypeError("A stream can only be stored by a method that returns a promise.");
  throw new TypeError(WRONG);
}

/** The text of an export, as a string or a Uint8Array. */
export function importable(from) {
  if (typeof from === "string") return from;
  const bytes = from !== null && typeof from === "object" ? bytesOf(from) : null;
  if (bytes !== null) return bytes;
  throw new TypeError(`import() takes the text of an export, or its bytes, not ${kind(from)}`);
}

/** Reads a stream of bytes to its end, or cancels it where it is longer than a limit. */
export async function readStream(stream, limit, what = "value") {
  const reader = stream.getReader();
  const chunks = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const bytes = value !== null && typeof value === "object" ? bytesOf(value) : null;
      if (bytes === null) throw new TypeError("A stream that is stored must be one of Uint8Arrays or ArrayBuffers.");
      length += bytes.length;
      if (length > limit) throw new LuatKVError("LIMIT", `the ${what} is longer than ${limit} bytes, the limit`);
      chunks.push(bytes.slice());
    }
  } catch (error) {
    cancel(reader, error);
    throw error;
  } finally {
    try {
      reader.releaseLock();
    } catch {} // there may be browsers that want nobody to be reading
  }
  return joined(chunks, length);
}

/** One that has failed refuses, and not everything that is read from can be cancelled. */
async function cancel(reader, why) {
  try {
    await reader.cancel?.(why);
  } catch {}
}

export function joined(chunks, length) {
  if (chunks.length === 1) return chunks[0];
  let all;
  try {
    all = new Uint8Array(length);
  } catch (error) {
    throw new LuatKVError("NOMEM", `out of memory: ${length} bytes`, { cause: error });
  }
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

// ---- Out

export function parse(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`the value of ${JSON.stringify(name)} is not JSON: ${error.message}`, { cause: error });
  }
}

/** A value of a type from where it lies in memory. */
export function read(engine, pointer, length, as, name) {
  switch (as) {
    case "text":
      return engine.text(pointer, length);
    case "json":
      return parse(engine.text(pointer, length), name);
    case "arrayBuffer":
      return engine.copy(pointer, length);
    default:
      return streamOf(engine.copy(pointer, length));
  }
}

const CHUNK = 65536;

function streamOf(buffer) {
  let at = 0;
  const pull = (controller) => {
    if (at < buffer.byteLength) {
      controller.enqueue(new Uint8Array(buffer.slice(at, at + CHUNK)));
      at += CHUNK;
      return;
    }
    controller.close();
    controller.byobRequest?.respond(0);
  };
  try {
    return new ReadableStream({ type: "bytes", pull });
  } catch {
    return new ReadableStream({ pull }); // where there are no streams of bytes
  }
}

/** How many bytes the value of an entry has. */
export function lengthOf(engine, entry) {
  engine.call.entry_value(entry, engine.NUMBER);
  return engine.outLength();
}

function valueOf(engine, entry, as, name) {
  const pointer = engine.call.entry_value(entry, engine.NUMBER) >>> 0;
  return read(engine, pointer, engine.outLength(), as, name);
}

const { entryKey, entryMetadata, entryVersion } = {
  entryKey: (engine, entry) => engine.textOf(engine.call.entry_key, entry),
  entryMetadata: (engine, entry) => engine.textOf(engine.call.entry_metadata, entry),
  entryVersion: (engine, entry) => engine.textOf(engine.call.entry_version, entry),
};
export { entryKey, entryMetadata, entryVersion };

function metadataOf(engine, entry, name) {
  const text = entryMetadata(engine, entry);
  return text === null ? null : parseMetadata(text, name);
}

/** No call of a store's takes metadata that is not JSON, but a record that was kept in a browser may have some. */
function parseMetadata(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `the metadata of ${JSON.stringify(name)} is not JSON: ${error.message}`;
    throw new LuatKVError("CORRUPT", message, { cause: error });
  }
}

/**
 * Gives an entry of a page its metadata. What is not JSON is an error only where it is looked at, so that the other
 * entries of the page can be read.
 */
function setMetadata(object, engine, entry, name) {
  try {
    const metadata = metadataOf(engine, entry, name);
    if (metadata !== null) object.metadata = metadata;
  } catch (error) {
    if (error.code !== "CORRUPT") throw error;
    const get = () => {
      throw error;
    };
    Object.defineProperty(object, "metadata", { __proto__: null, get, enumerable: true, configurable: true });
  }
}

const expirationOf = (engine, entry) => Number(engine.call.entry_expiration(entry));

/**
 * Adds a property that Workers' results do not have. It is not enumerable, so that the object still equals a result of
 * Workers in a test. (A getter of a class would be faster, but deepStrictEqual compares prototypes too.)
 */
function hide(object, name, value) {
  hidden.value = value;
  Object.defineProperty(object, name, hidden);
}

const hidden = { __proto__: null, value: null, enumerable: false, configurable: true, writable: true };

function hideWhole(object, expiration, version) {
  hide(object, "expiration", expiration);
  hide(object, "version", version);
  return object;
}

/** What getWithMetadata returns for a key that is missing. */
export const missing = () => hideWhole({ value: null, metadata: null, cacheStatus: null }, null, null);

/** What it returns for one that is there. */
export function whole(engine, entry, as, name) {
  const metadata = metadataOf(engine, entry, name);
  const found = { value: valueOf(engine, entry, as, name), metadata, cacheStatus: null };
  return hideWhole(found, expirationOf(engine, entry) || null, entryVersion(engine, entry));
}

/** The same for one of many, where Workers' results have no cacheStatus. */
export function wholeOfMany(engine, entry, as, name) {
  const found = { value: valueOf(engine, entry, as, name), metadata: null };
  setMetadata(found, engine, entry, name);
  hide(found, "cacheStatus", null);
  return hideWhole(found, expirationOf(engine, entry) || null, entryVersion(engine, entry));
}

export { valueOf as value };

/** An entry of a list, without the fields that are not set; its version is hidden. */
export function listed(engine, entry, as) {
  const key = { name: entryKey(engine, entry) };
  if (as !== null) key.value = valueOf(engine, entry, as, key.name);
  const expiration = expirationOf(engine, entry);
  if (expiration !== 0) key.expiration = expiration;
  setMetadata(key, engine, entry, key.name);
  hide(key, "version", entryVersion(engine, entry));
  return key;
}

/** An entry for an export: its value as where it lies, its expiration as a BigInt, its metadata as the text it is. */
export function exported(engine, entry) {
  const name = entryKey(engine, entry);
  const pointer = engine.call.entry_value(entry, engine.NUMBER) >>> 0;
  const length = engine.outLength();
  const metadata = entryMetadata(engine, entry);
  if (metadata !== null) parseMetadata(metadata, name); // the whole export would be no JSON
  const { bytes } = engine.fresh();
  return {
    name,
    bytes: bytes.subarray(pointer, pointer + length),
    expiration: engine.call.entry_expiration(entry),
    metadata,
  };
}

/** Calls a function with each entry of a page, frees the page, and returns where the next one begins, or null. */
export function eachEntry(engine, page, use) {
  try {
    const { call } = engine;
    const length = call.page_len(page) >>> 0;
    for (let index = 0; index < length; index++) use(call.page_at(page, index));
    return engine.textOf(call.page_cursor, page);
  } finally {
    if (engine.death === null) engine.call.page_free(page);
  }
}
