// Reads results of the addon: values, entries, pages.

import { LuatKVError } from "./error.js";
import { constants } from "./library.js";

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

export const [AS_NOTHING, AS_TEXT, AS_BYTES] = [0, 1, 2];

/** What the addon returns of a value of a type: nothing, a string or a Buffer. */
export function form(type) {
  if (type === undefined) return AS_NOTHING;
  return type === "text" || type === "json" ? AS_TEXT : AS_BYTES;
}

/** Converts a value from the form in which the addon returns it to its type. */
export function value(raw, type, name) {
  if (type === "text" || type === "buffer") return raw;
  if (type === "json") return parseValue(raw, name);
  return raw.byteLength === raw.buffer.byteLength
    ? raw.buffer
    : raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength);
}

const metadata = (text, name) => (text === null ? null : parseMetadata(text, name));

/**
 * Sets a field of a result to what a function returns. If that throws, as for metadata that is not JSON (written by
 * another program), only accessing the field does, so that the rest can be read.
 */
function setField(object, field, convert) {
  try {
    object[field] = convert();
  } catch (error) {
    const get = () => {
      throw error;
    };
    Object.defineProperty(object, field, { __proto__: null, get, enumerable: true, configurable: true });
  }
}

/** Sets the metadata of an entry of a page. */
function setMetadata(object, text, name) {
  if (text !== null) setField(object, "metadata", () => metadata(text, name));
}

export const MISSING = Object.freeze({ value: null, metadata: null, expiration: null, version: null });

// An entry is five elements of an array: name, version, expiration, metadata and value. The expiration is in Unix
// seconds, 0 for never. (Beyond 2⁵³, which only another program can write, it is rounded.)
const FIELDS = 5;

// A change is such an entry, and then what has become of the key.
const CHANGE_FIELDS = 6;

/** The result of getWithMetadata. */
export function withMetadata(entry, type, name) {
  return {
    value: value(entry[4], type, name),
    metadata: metadata(entry[3], name),
    expiration: entry[2] || null,
    version: entry[1],
  };
}

/** Calls a function for each entry of a page: use(name, version, expiration, metadata, value). */
export function eachEntry(page, use) {
  for (let at = 0; at + FIELDS <= page.length; at += FIELDS) {
    use(page[at], page[at + 1], page[at + 2], page[at + 3], page[at + 4]);
  }
}

/** Adds the values of a page to a Map. */
export function valuesTo(found, page, type) {
  eachEntry(page, (name, _version, _expiration, _text, raw) => found.set(name, value(raw, type, name)));
}

/** Adds the results of getWithMetadata for the entries of a page to a Map. */
export function entriesTo(found, page, type) {
  eachEntry(page, (name, version, expiration, text, raw) => {
    const entry = { value: value(raw, type, name), metadata: null, expiration: expiration || null, version };
    setMetadata(entry, text, name);
    found.set(name, entry);
  });
}

/** The result of list. The entries lack the fields that are not set. */
export function list(page, type) {
  const keys = [];
  eachEntry(page, (name, version, expiration, text, raw) => {
    const key = { name };
    if (type) key.value = value(raw, type, name);
    if (expiration) key.expiration = expiration;
    setMetadata(key, text, name);
    key.version = version;
    keys.push(key);
  });
  const cursor = page[page.length - 1];
  return cursor === null ? { keys, list_complete: true } : { keys, list_complete: false, cursor };
}

/**
 * The changes of a watch. Their values are bytes, if they are wanted. One that cannot be converted throws when it is
 * accessed: the watch returns a change only once.
 */
export function changes(page, type) {
  const all = [];
  for (let at = 0; at + CHANGE_FIELDS <= page.length; at += CHANGE_FIELDS) {
    const [name, version, expiration, text, bytes, what] = page.slice(at, at + CHANGE_FIELDS);
    const change = { name, type: what === constants.CHANGE_PUT ? "put" : "delete" };
    all.push(change);
    if (change.type === "delete") {
      if (what === constants.CHANGE_EXPIRE) change.expired = true;
      continue;
    }
    change.version = version;
    if (expiration) change.expiration = expiration;
    setMetadata(change, text, name);
    if (type) setField(change, "value", () => value(form(type) === AS_TEXT ? bytes.toString() : bytes, type, name));
  }
  return all;
}

/** The names of a page. */
export function names(page) {
  const all = [];
  eachEntry(page, (name) => all.push(name));
  return all;
}

export function stats([path, fileSize, hits, misses, drops, size, ...rows]) {
  const namespaces = new Map();
  for (let at = 0; at < rows.length; at += 3) namespaces.set(rows[at], { live: rows[at + 1], expired: rows[at + 2] });
  return { path, fileSize, namespaces, cache: { hits, misses, drops, size } };
}
