// Converts values: from what the caller stores, and to what it reads.

import { LuatKVError, kind } from "./error.js";

// ---- Writing

// The getters of the prototype, since a subclass or an instance may override `length` with a wrong value, or with a
// getter that has side effects.
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

/** The bytes of a view or a buffer, of any realm, as a Uint8Array; null for anything else. */
export function bytesOf(value) {
  if (ArrayBuffer.isView(value)) {
    const isArray = reading(tagOf, value) !== undefined;
    const { buffer, offset, length } = viewGetters[isArray ? 0 : 1];
    // These throw if the memory was transferred to another thread, or is out of bounds by now. The getters of an array
    // would only return 0.
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

/** The value to store, as a string or a Uint8Array. As with Workers KV, a number or a boolean is stored as text. */
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

/** Reads a stream of bytes to its end. Cancels it if it is longer than a limit. */
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
    } catch {} // some browsers may refuse this while a read is pending
  }
  return joined(chunks, length);
}

/** Cancels a reader, and ignores errors: a failed stream rejects, and some readers have no cancel(). */
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

// ---- Reading

export function parse(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`the value of ${JSON.stringify(name)} is not JSON: ${error.message}`, { cause: error });
  }
}

/** Reads a value of a page, which cannot be a stream. */
function read(engine, pointer, length, as, name) {
  if (as === "arrayBuffer") return engine.copy(pointer, length);
  const text = engine.text(pointer, length);
  return as === "json" ? parse(text, name) : text;
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
    return new ReadableStream({ pull }); // the runtime has no streams of bytes
  }
}

/** The length of an entry's value in bytes. */
export function lengthOf(engine, entry) {
  engine.call.entry_value(entry, engine.NUMBER);
  return engine.outLength();
}

/** The value of a row; null if the key is missing. A caller gets an object or a buffer of its own. */
export function valueOf(row, as, name) {
  if (row.isMissing) return null;
  switch (as) {
    case "text":
      return row.text;
    case "json":
      return parse(row.text, name);
    case "arrayBuffer":
      return row.isKept ? row.bytes.slice(0) : row.bytes;
    default:
      return streamOf(row.bytes); // it copies what it reads
  }
}

/** The value of an entry of a page. */
export function entryValue(engine, entry, as, name) {
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

/** Parses metadata. No method stores metadata that is not JSON, but a persisted record may contain some. */
function parseMetadata(text, name) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = `the metadata of ${JSON.stringify(name)} is not JSON: ${error.message}`;
    throw new LuatKVError("CORRUPT", message, { cause: error });
  }
}

/**
 * Sets the metadata of an entry of a page. Metadata that is not JSON throws only when it is accessed, so that the other
 * entries of the page can be read.
 */
function setMetadata(object, engine, entry, name) {
  try {
    const metadata = metadataOf(engine, entry, name);
    if (metadata !== null) object.metadata = metadata;
  } catch (error) {
    if (error.code !== "CORRUPT") throw error;
    setThrowing(object, "metadata", error);
  }
}

/** Sets a property that throws when it is accessed. */
export function setThrowing(object, property, error) {
  const get = () => {
    throw error;
  };
  Object.defineProperty(object, property, { __proto__: null, get, enumerable: true, configurable: true });
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

/** The result of getWithMetadata for a missing key. */
export const missing = () => hideWhole({ value: null, metadata: null, cacheStatus: null }, null, null);

/** The result of getWithMetadata for a whole row. */
export function withMetadata(row, as, name) {
  if (row.isMissing) return missing();
  const metadata = row.metadata === null ? null : parseMetadata(row.metadata, name);
  const found = { value: valueOf(row, as, name), metadata, cacheStatus: null };
  return hideWhole(found, row.end || null, row.version);
}

/** The same for a key of a bulk read, for which Workers returns no cacheStatus. */
export function bulkWithMetadata(engine, entry, as, name) {
  const found = { value: entryValue(engine, entry, as, name), metadata: null };
  setMetadata(found, engine, entry, name);
  hide(found, "cacheStatus", null);
  return hideWhole(found, expirationOf(engine, entry) || null, entryVersion(engine, entry));
}

/** An entry of a list, without the fields that are not set. Its version is a hidden property. */
export function listed(engine, entry, as) {
  const key = { name: entryKey(engine, entry) };
  if (as !== null) key.value = entryValue(engine, entry, as, key.name);
  const expiration = expirationOf(engine, entry);
  if (expiration !== 0) key.expiration = expiration;
  setMetadata(key, engine, entry, key.name);
  hide(key, "version", entryVersion(engine, entry));
  return key;
}

/** Adds an entry of a page to `changes`, without its value, if `isChanged(name, version, expiration)` is true. */
export function changed(engine, entry, isChanged, changes) {
  const name = entryKey(engine, entry);
  const version = engine.versionAt(engine.call.entry_version(entry, engine.NUMBER) >>> 0);
  const expiration = expirationOf(engine, entry);
  if (!isChanged(name, version, expiration)) return;
  const change = { name, type: "put", version };
  if (expiration !== 0) change.expiration = expiration;
  setMetadata(change, engine, entry, name);
  changes.push(change);
}

/** An entry for an export: a view of its value, its expiration as a BigInt, and the text of its metadata. */
export function exported(engine, entry) {
  const name = entryKey(engine, entry);
  const pointer = engine.call.entry_value(entry, engine.NUMBER) >>> 0;
  const length = engine.outLength();
  const metadata = entryMetadata(engine, entry);
  if (metadata !== null) parseMetadata(metadata, name); // otherwise the export would not be valid JSON
  const { bytes } = engine.fresh();
  return {
    name,
    bytes: bytes.subarray(pointer, pointer + length),
    expiration: engine.call.entry_expiration(entry),
    metadata,
  };
}

/** Calls a function with each entry of a page, frees the page, and returns the cursor of the next page, or null. */
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
