// Reads results: values, entries, pages.

import { constants } from "./declarations.js";
import { LuatKVError } from "./error.js";
import { copy, native, text } from "./library.js";
import { NUMBER, outNumber } from "./memory.js";

function parse(json, what, name, failure) {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw failure(`the ${what} of ${JSON.stringify(String(name))} is not JSON: ${error.message}`);
  }
}

const parseValue = (json, name) => parse(json, "value", name, (message) => new SyntaxError(message));

const parseMetadata = (json, name) =>
  parse(json, "metadata", name, (message) => new LuatKVError("CORRUPT", constants.CORRUPT, message));

/** Converts a Buffer to the given type. The Buffer must not be shared. */
export function fromBuffer(buffer, type, name) {
  switch (type) {
    case "text":
      return buffer.toString();
    case "json":
      return parseValue(buffer.toString(), name);
    case "buffer":
      return buffer;
    default:
      return buffer.byteLength === buffer.buffer.byteLength
        ? buffer.buffer
        : buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength);
  }
}

function value(entry, type, name) {
  const pointer = native.entry_value(entry, NUMBER);
  const length = outNumber();
  if (type === "text") return text(pointer, length);
  if (type === "json") return parseValue(text(pointer, length), name);
  return fromBuffer(copy(pointer, length), type, name);
}

const string = (read, entry) => text(read(entry, NUMBER), outNumber());

function metadata(entry, name) {
  const pointer = native.entry_metadata(entry, NUMBER);
  return pointer === null ? null : parseMetadata(text(pointer, outNumber()), name);
}

/**
 * Sets the metadata of an entry of a page. Metadata that is not JSON (written by another program) throws only when
 * it is accessed, so that the other entries of the page can be read.
 */
function setMetadata(object, entry, name) {
  try {
    const data = metadata(entry, name);
    if (data !== null) object.metadata = data;
  } catch (error) {
    const get = () => {
      throw error;
    };
    Object.defineProperty(object, "metadata", { __proto__: null, get, enumerable: true, configurable: true });
  }
}

/** Unix seconds, 0 for never. Beyond 2⁵³ (which only another program can write) it is rounded, rather than a bigint. */
const expiration = (entry) => Number(native.entry_expiration(entry));

export const MISSING = Object.freeze({ value: null, metadata: null, expiration: null, version: null });

/** The result of getWithMetadata. */
export function withMetadata(entry, type, name) {
  return fields(entry, type, name, metadata(entry, name));
}

/** The result of getWithMetadata for one of many keys. */
export function bulkWithMetadata(entry, type, name) {
  const found = fields(entry, type, name, null);
  setMetadata(found, entry, name);
  return found;
}

const fields = (entry, type, name, metadata) => ({
  value: value(entry, type, name),
  metadata,
  expiration: expiration(entry) || null,
  version: string(native.entry_version, entry),
});

/** Only the value. */
export { value };

/** An entry of a list, without the fields that are not set. */
function listed(entry, type) {
  const key = { name: string(native.entry_key, entry) };
  if (type) key.value = value(entry, type, key.name);
  const end = expiration(entry);
  if (end) key.expiration = end;
  setMetadata(key, entry, key.name);
  key.version = string(native.entry_version, entry);
  return key;
}

/** Calls a function with each entry of a page and its key, then frees the page. */
export function eachEntry(page, use) {
  try {
    const length = native.page_len(page);
    for (let index = 0; index < length; index++) {
      const entry = native.page_at(page, index);
      use(entry, string(native.entry_key, entry));
    }
  } finally {
    native.page_free(page);
  }
}

/** The result of list. Frees the page. */
export function list(page, type) {
  try {
    const keys = [];
    const length = native.page_len(page);
    for (let index = 0; index < length; index++) keys.push(listed(native.page_at(page, index), type));
    const cursor = native.page_cursor(page, NUMBER);
    return cursor === null
      ? { keys, list_complete: true }
      : { keys, list_complete: false, cursor: text(cursor, outNumber()) };
  } finally {
    native.page_free(page);
  }
}

/** Reads stats, and frees them. */
export function stats(pointer) {
  try {
    const namespaces = new Map();
    const length = native.stats_len(pointer);
    for (let index = 0; index < length; index++) {
      const name = text(native.stats_name(pointer, index, NUMBER), outNumber());
      namespaces.set(name, {
        live: Number(native.stats_live(pointer, index)),
        expired: Number(native.stats_expired(pointer, index)),
      });
    }
    return { path: native.stats_path(pointer), fileSize: Number(native.stats_file_size(pointer)), namespaces };
  } finally {
    native.stats_free(pointer);
  }
}
