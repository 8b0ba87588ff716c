// Checks names, types and options. Each property of the caller's objects is read once.

import { LIMITS_CLOUDFLARE, LIST_REVERSE, LIST_VALUES } from "./abi.js";
import * as cloudflare from "./cloudflare.js";
import { LuatKVError, invalid, kind, shown } from "./error.js";
import { MAX_KEYS, MAX_METADATA, MAX_NAME, MAX_VALUE, MAX_WATCHED } from "./limits.js";
import { similar } from "./similar.js";
import { checkLength, compareBytes, overLimit, utf8Length, wellFormed, wellFormedJSON } from "./slot.js";

const NONE = Object.freeze({ __proto__: null });

const { propertyIsEnumerable } = Object.prototype;
const tagOf = (value) => Object.prototype.toString.call(value).slice(8, -1);

/**
 * Returns the known options among those that were given, each read once. Only own, enumerable properties count: the
 * result of getWithMetadata can be the options of a put, as in Workers, and only its metadata is used then. Unknown
 * options are ignored, as in Workers, with two exceptions that are errors: a name that is similar to a known option
 * that is not given, since it is probably a mistake; and a name in `others`, which only another method supports.
 */
export function known(given, names, others = [], why = "") {
  if (given === undefined || given === null) return NONE;
  if (typeof given !== "object" || Array.isArray(given)) {
    throw new TypeError(`options must be an object, not ${kind(given)}`);
  }
  const tag = tagOf(given);
  if (tag === "Map" || tag === "Set" || tag === "Promise" || tag === "Date") {
    throw new TypeError(`options must be a plain object, not a ${tag}`); // its contents would be ignored
  }
  const own = { __proto__: null };
  for (const name of names) if (propertyIsEnumerable.call(given, name)) own[name] = given[name];
  for (const name of Object.keys(given)) {
    const wrong = names.includes(name) ? null : whatIsWrong(name, names, own, others, why);
    if (wrong !== null && given[name] !== undefined) throw new TypeError(wrong);
  }
  return own;
}

/** The same for methods that Workers does not have. There every unknown option is an error. */
export function only(given, names, others, why) {
  const own = known(given, names, others, why);
  for (const name of Object.keys(given ?? {})) {
    if (names.includes(name) || given[name] === undefined) continue;
    throw new TypeError(`unknown option ${shown(name)}: there are ${names.join(", ")}`);
  }
  return own;
}

function whatIsWrong(name, names, own, others, why) {
  if (others.includes(name)) return `there is no option ${shown(name)} here: ${why}`;
  const near = similar(name, names);
  if (near.length === 0 || near.some((other) => other in own)) return null;
  return `unknown option ${shown(name)}: did you mean ${JSON.stringify(near[0])}?`;
}

export function asInteger(name, value, least, most = Number.MAX_SAFE_INTEGER) {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number, not ${kind(value)}`);
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new RangeError(`${name} must be a whole number ${range}, not ${value}`);
  }
  return value;
}

/**
 * Converts a value to an integer as WebIDL, and so Workers, does: "60" and 60.9 are 60, and NaN is 0. A bigint and a
 * symbol throw a TypeError.
 */
function integer(value) {
  const number = +value;
  return Number.isFinite(number) ? Math.trunc(number) || 0 : 0;
}

function flag(name, value) {
  if (value === undefined) return false;
  if (typeof value !== "boolean") throw new TypeError(`${name} must be a boolean, not ${kind(value)}`);
  return value;
}

/** Checks that a value is one of `words`. Returns `none` if it is undefined. */
export function choice(name, value, words, none) {
  if (value === undefined) return none;
  if (typeof value !== "string" || !words.includes(value)) {
    const [near] = typeof value === "string" ? similar(value, words) : [];
    const hint = near === undefined ? "" : `: did you mean ${JSON.stringify(near)}?`;
    throw new TypeError(`${name} must be one of ${words.join(", ")}, not ${shown(value)}${hint}`);
  }
  return value;
}

/** Converts a number or a bigint to a signed integer of 64 bits, as a BigInt. */
export function int64(name, value) {
  if (typeof value === "number") return BigInt(asInteger(name, value, Number.MIN_SAFE_INTEGER));
  if (typeof value !== "bigint") throw new TypeError(`${name} must be a number or a bigint, not ${kind(value)}`);
  if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${name} must fit in 64 bits, and ${value} does not`);
  return value;
}

// ---- Names

/** Checks an option or an argument that must be a string, of at most `limit` bytes. */
export function text(what, value, limit) {
  if (typeof value !== "string") throw new TypeError(`${what} must be a string, not ${kind(value)}`);
  if (value.length * 3 > limit) checkLength(what, value, limit);
  return value;
}

/** Converts a number or a boolean to text, as Workers KV does. Objects, null and undefined are refused. */
function primitive(what, value) {
  if (["number", "bigint", "boolean"].includes(typeof value)) return String(value);
  throw new TypeError(`${what} must be a string, not ${kind(value)}`);
}

/** Checks a key. `method` is the name of the call in Workers' messages. */
export function key(given, limits, method = "PUT") {
  const name = typeof given === "string" ? given : primitive("the key", given);
  if (name === "") throw new TypeError("Key name cannot be empty.");
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkKey(method, name);
  else if (name.length * 3 > MAX_NAME[limits]) checkLength("key", name, MAX_NAME[limits]);
  return name;
}

/** Returns the checked keys of a bulk read or deletion. The array is read once. */
export function keys(given, limits, method) {
  const length = Number(given.length);
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkCount(method, length);
  const most = MAX_KEYS[limits];
  if (length > most) throw new LuatKVError("LIMIT", `${length} keys were given; the limit is ${most}`);
  const names = [];
  for (let index = 0; index < length; index++) names.push(wellFormed(key(given[index], limits, method)));
  return names;
}

/** Throws for a value that is too long, before it is copied. */
export function checkValue(stored, limits) {
  const limit = MAX_VALUE[limits];
  if (stored.length * 3 <= limit) return;
  const length = typeof stored === "string" ? utf8Length(stored) : stored.length;
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkBytes("Value", length, limit);
  if (length > limit) throw overLimit("value", length, limit);
}

// ---- Types

const TYPES = ["text", "json", "arrayBuffer", "stream"];

const UNKNOWN = 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".';

/** Returns the requested type of a value, which is given as a string or as { type, cacheTtl }. */
export function type(given, limits) {
  const word = typeWord(given, limits, "GET");
  if (!TYPES.includes(word)) throw new TypeError(UNKNOWN);
  return word;
}

/** The same for a bulk read. */
export function bulkType(given, limits) {
  const word = typeWord(given, limits, cloudflare.BULK);
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkBulkType(word);
  if (!TYPES.includes(word)) throw new TypeError(UNKNOWN);
  if (word === "stream") {
    throw new TypeError('"stream" is not a valid type for many keys. Use "text", "json" or "arrayBuffer"');
  }
  return word;
}

function typeWord(given, limits, method) {
  if (given === undefined || given === null) return "text";
  if (typeof given !== "object") return given;
  const { type = "text", cacheTtl } = known(given, ["type", "cacheTtl"]);
  if (cacheTtl !== undefined) {
    const ttl = integer(cacheTtl);
    if (limits === LIMITS_CLOUDFLARE) cloudflare.checkCacheTtl(method, ttl);
  }
  return type;
}

// ---- Writing

/** Checked options of a put or an incr. 0 and "" mean that an option is not given. */
export class Prepared {
  expiration = 0;
  ttl = 0;
  metadata = "";
  initial = 0n;

  get hasLifetime() {
    return this.expiration !== 0 || this.ttl !== 0;
  }
}

const LIFETIME = ["expiration", "expirationTtl"];
const PUT = [...LIFETIME, "metadata"];
const INCR = [...LIFETIME, "initial"];

/** Reads options with a lifetime. If both forms are given, expirationTtl takes precedence. */
function lifetime(given, names, limits, why) {
  const options = known(given, names, names === PUT ? [] : ["metadata"], why);
  const { expiration, expirationTtl } = options;
  const prepared = new Prepared();
  const end = expiration === undefined ? 0 : integer(expiration);
  if (expirationTtl !== undefined) {
    prepared.ttl = integer(expirationTtl);
    if (limits === LIMITS_CLOUDFLARE) cloudflare.checkTtl(prepared.ttl);
    checkTime("expirationTtl", prepared.ttl, expirationTtl);
  } else if (expiration !== undefined) {
    prepared.expiration = end;
    if (limits === LIMITS_CLOUDFLARE) cloudflare.checkExpiration(end);
    checkTime("expiration", end, expiration);
  }
  return { prepared, options };
}

function checkTime(name, number, given) {
  // WebIDL converts true to 1. Workers rejects a lifetime of 1 second, but the default limits do not.
  if (number >= 1 && number <= Number.MAX_SAFE_INTEGER && typeof given !== "boolean") return;
  const not = typeof given === "number" ? given : shown(given);
  throw new RangeError(`${name} must be a number of whole seconds from 1, not ${not}`);
}

export function put(given, limits) {
  if (given === undefined || given === null || given instanceof Prepared) return given ?? null;
  const { prepared, options } = lifetime(given, PUT, limits);
  const { metadata } = options;
  if (metadata !== undefined && metadata !== null) prepared.metadata = json("metadata", metadata);
  // Metadata whose toJSON returns null is not stored either.
  if (prepared.metadata === "null") prepared.metadata = "";
  checkMetadata(prepared.metadata, limits);
  return prepared;
}

function checkMetadata(text, limits) {
  const limit = MAX_METADATA[limits];
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkBytes("Metadata", utf8Length(text), limit);
  else checkLength("metadata", text, limit);
}

export function incr(given, limits) {
  if (given === undefined || given === null) return null;
  const { prepared, options } = lifetime(given, INCR, limits, "a counter has no metadata");
  const { initial } = options;
  if (initial !== undefined) prepared.initial = int64("initial", initial);
  return prepared;
}

export function touch(given, limits) {
  return lifetime(given, LIFETIME, limits, "the metadata stays as it is").prepared;
}

/** Returns the JSON text of a value. A value that JSON cannot represent is an error. */
function json(what, value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    const isTooDeep = error instanceof RangeError || error?.name === "InternalError"; // in Firefox
    throw isTooDeep ? invalid(`${what} is nested too deep for JSON`) : error;
  }
  if (text === undefined) throw new TypeError(`${what} must not be ${kind(value)}, which JSON cannot represent`);
  return wellFormedJSON(text);
}

// ---- Listing

const EACH = ["prefix", "start", "stop", "reverse", "values"];
const PAGE = ["limit", "cursor"];

/** The checked options of a list. */
export class Listing {
  prefix = "";
  start = "";
  stop = "";
  cursor = "";
  flags = 0;
  limit = 0;
  /** The type of the values; null for a list without values. */
  values = null;
}

function listing(given, limits, names, others, why) {
  const options = known(given, names, others, why);
  const { prefix, start, stop, reverse, values } = options;
  const list = new Listing();
  const bound = (what, value) => text(what, value ?? "", MAX_NAME[limits]);
  list.prefix = readPrefix(prefix, limits);
  list.start = bound("start", start);
  list.stop = bound("stop", stop);
  if (stop === "") throw invalid("stop is empty: leave it out where there is none");
  list.values = valuesType(values);
  list.flags = (flag("reverse", reverse) ? LIST_REVERSE : 0) | (list.values === null ? 0 : LIST_VALUES);
  return { list, options };
}

/** The type of the values of a list; null for none. */
function valuesType(given) {
  if (given === true) return "text";
  if (given === undefined || given === false || given === null) return null;
  return choice("values", given, ["text", "json", "arrayBuffer"]);
}

function readPrefix(given = "", limits) {
  const prefix = given === null ? "" : typeof given === "string" ? given : primitive("prefix", given);
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkName("GET", prefix);
  return text("prefix", prefix, MAX_NAME[limits]);
}

/** The maximum length of a cursor. Every valid one is shorter. */
const CURSOR = 12_288;

export function list(given, limits) {
  if (given instanceof Listing) return given;
  const { list, options } = listing(given, limits, [...EACH, ...PAGE]);
  const { limit, cursor } = options;
  if (limit !== undefined) list.limit = pageLimit(limit, limits);
  list.cursor = cursor ?? "";
  if (typeof list.cursor !== "string") throw new TypeError(`cursor must be a string, not ${kind(cursor)}`);
  if (list.cursor.length * 3 > CURSOR) checkLength("cursor", list.cursor, CURSOR);
  return list;
}

/** As in Workers, a limit of 0 or less means the default. */
function pageLimit(given, limits) {
  const limit = Math.max(integer(given), 0);
  if (limits === LIMITS_CLOUDFLARE) cloudflare.checkPage(limit);
  return Math.min(limit, 0xffffffff); // still more than the limit of a page, which the module reports
}

export function each(given, limits) {
  return listing(given, limits, EACH, PAGE, "each() goes through all pages").list;
}

const WATCH = ["keys", "prefix", "existing", "since", "values", "signal"];

/** Returns the checked options of a watch, by their names; null, and for the prefix and the token "", for none. */
export function watch(given, limits) {
  const { keys, prefix, existing, since, values, signal } = only(given, WATCH);
  const watched = { keys: null, prefix: readPrefix(prefix, limits), values: valuesType(values), signal: null };
  watched.existing = flag("existing", existing);
  watched.since = text("since", since ?? "", Infinity);
  if (keys !== undefined && keys !== null) watched.keys = watchedKeys(keys, limits);
  if (watched.keys !== null && watched.prefix !== "") throw invalid("a watch has either keys or a prefix");
  if (watched.existing && watched.since !== "") {
    throw invalid("a watch begins either with what exists or since a token");
  }
  watched.signal = abortSignal(signal) ?? null;
  return watched;
}

/** Returns the checked keys in byte order, each once. */
function watchedKeys(given, limits) {
  if (!Array.isArray(given)) throw new TypeError(`keys must be an array, not ${kind(given)}`);
  const { length } = given;
  if (length === 0) throw invalid("keys is empty: leave it out to watch all keys");
  if (length > MAX_WATCHED) {
    throw new LuatKVError("LIMIT", `${length} keys were to be watched; the limit is ${MAX_WATCHED}`);
  }
  const names = new Set();
  for (let index = 0; index < length; index++) names.add(wellFormed(key(given[index], limits, "GET")));
  return [...names].sort(compareBytes);
}

export function count(given, limits) {
  const { prefix } = known(given, ["prefix"], ["start", "stop", ...PAGE], "count() counts all keys with a prefix");
  return readPrefix(prefix, limits);
}

// ---- Others

export function exportFormat(given) {
  const { format } = only(given, ["format"]);
  return choice("format", format, ["json", "jsonl"], "json");
}

export function importReplace(given) {
  const { replace } = only(given, ["replace"]);
  return flag("replace", replace);
}

export function atMost(max) {
  return max === undefined ? 0 : asInteger("max", max, 0);
}

const MIB = 1024 * 1024;

export function maxMemory(value) {
  return value === undefined ? 1024 * MIB : asInteger("maxMemory", value, 2 * MIB, 4096 * MIB);
}

/** The size of the cache: not more than the memory of the store. */
export function cacheSize(value, maxMemory) {
  return value === undefined ? Math.min(16 * MIB, maxMemory / 8) : asInteger("cacheSize", value, 0, maxMemory);
}

const PLACES = ["indexeddb", "opfs"];
const OPEN = ["limits", "persist", "name", "wait", "recover", "onError", "maxMemory", "cacheSize", "wasm"];

export function open(given) {
  const options = only(given, OPEN);
  const { limits, persist, name, wait, recover, onError, wasm } = options;
  const most = maxMemory(options.maxMemory);
  if (persist === undefined) refuseWithoutPlace(options);
  if (onError !== undefined && typeof onError !== "function") {
    throw new TypeError(`onError must be a function, not ${kind(onError)}`);
  }
  const where = persist === false || persist === null ? undefined : persist;
  return {
    limits: choice("limits", limits, ["default", "cloudflare"], "default") === "cloudflare" ? 1 : 0,
    persist: choice("persist", where, PLACES, null),
    name: storeName(name),
    wait: patience(wait),
    recover: flag("recover", recover),
    onError: onError ?? ((error) => console.error(error)),
    maxMemory: most,
    cacheSize: cacheSize(options.cacheSize, most),
    wasm,
  };
}

/** Throws for options that only apply to a persisted store. Otherwise the store would be lost with the page. */
function refuseWithoutPlace(options) {
  for (const name of ["name", "wait", "recover"]) {
    if (options[name] === undefined) continue;
    throw new TypeError(`${name} is for a store that is kept: give persist too, ${PLACES.join(" or ")}`);
  }
}

/** Checks the options that select the persisted store to remove. */
export function remove(given) {
  const { persist, name, wait } = only(given, ["persist", "name", "wait"]);
  if (persist === undefined) throw new TypeError(`persist must be the place of the store: ${PLACES.join(" or ")}`);
  return { where: choice("persist", persist, PLACES), name: storeName(name), wait: patience(wait) };
}

/**
 * How long to wait for another tab that has the store open, in milliseconds. The default is not 0, since a reloaded
 * page opens its store before the old page has closed it.
 */
const patience = (wait) => milliseconds("wait", wait, 2000);

/** Checks how long to wait. */
export function milliseconds(name, value, none) {
  if (value === undefined) return none;
  if (typeof value !== "number") throw new TypeError(`${name} must be a number, not ${kind(value)}`);
  if (!(value >= 0)) throw new RangeError(`${name} must be a number of milliseconds from 0, or Infinity, not ${value}`);
  return value;
}

export function abortSignal(signal) {
  if (signal !== undefined && (signal === null || typeof signal !== "object" || typeof signal.aborted !== "boolean")) {
    throw new TypeError(`signal must be an AbortSignal, not ${kind(signal)}`);
  }
  return signal;
}

function storeName(name = "luat_kv") {
  if (name === "") throw invalid("the name of the store is empty");
  return wellFormed(text("the name of the store", name, 1024));
}
