// Checks names, types and options.

import { types } from "node:util";
import { input, invalid, isEmpty, kind } from "./input.js";
import { constants } from "./library.js";
import { similar } from "./similar.js";

const NONE = Object.freeze({ __proto__: null });

/**
 * Returns the known options among those that were given, own properties only, each read once. Unknown options are
 * ignored, as in Workers, with two exceptions that are errors: a name that is similar to a known option that is not
 * given, since it is probably a mistake; and a name in `others`, which only another method supports.
 */
export function known(given, names, others = [], why = "") {
  if (given === undefined || given === null) return NONE;
  if (typeof given !== "object" || Array.isArray(given)) {
    throw new TypeError(`options must be an object, not ${Array.isArray(given) ? "an array" : kind(given)}`);
  }
  for (const type of ["Map", "Set", "Promise", "Date"]) { // their contents are not properties, and would be ignored
    if (types[`is${type}`](given)) throw new TypeError(`options must be a plain object, not a ${type}`);
  }
  const own = { __proto__: null };
  for (const name of names) if (Object.hasOwn(given, name)) own[name] = given[name];
  for (const name of Object.keys(given)) {
    const wrong = names.includes(name) ? null : whatIsWrong(name, names, own, others, why);
    if (wrong !== null && given[name] !== undefined) throw new TypeError(wrong);
  }
  return own;
}

/** The same for methods that Workers does not have. There every unknown option is an error. */
function only(given, names) {
  const own = known(given, names);
  for (const name of Object.keys(given ?? {})) {
    if (names.includes(name) || given[name] === undefined) continue;
    throw new TypeError(`unknown option ${name}: the options are ${names.join(", ")}`);
  }
  return own;
}

function whatIsWrong(name, names, own, others, why) {
  if (others.includes(name)) return `there is no option ${name} here: ${why}`;
  const near = similar(name, names);
  if (near.length === 0 || near.some((other) => other in own)) return null;
  return `unknown option ${name}: did you mean ${near[0]}?`;
}

/**
 * Converts a value to an integer as WebIDL, and so Workers, does: "60" and 60.9 are 60, and NaN is 0. A bigint and a
 * symbol throw a TypeError.
 */
function integer(value) {
  const number = +value;
  return Number.isFinite(number) ? Math.trunc(number) || 0 : 0;
}

function asInteger(name, value, least, most) {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number, not ${kind(value)}`);
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new RangeError(`${name} must be a whole number ${range}, not ${value}`);
  }
  return value;
}

function flag(name, value) {
  if (value === undefined) return false;
  if (typeof value !== "boolean") throw new TypeError(`${name} must be a boolean, not ${kind(value)}`);
  return value;
}

/** Returns the number of a named choice, as in { json: 0, jsonl: 1 }. */
function choice(name, value, numbers) {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || !Object.hasOwn(numbers, value)) {
    throw new TypeError(`${name} must be one of ${Object.keys(numbers).join(", ")}, not ${shown(value)}`);
  }
  return numbers[value];
}

const shown = (value) => (typeof value === "string" ? JSON.stringify(value) : kind(value));

/** Converts a Number or a BigInt to a signed integer of 64 bits. */
export function int64(name, value) {
  if (typeof value === "bigint") {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${name} must fit in 64 bits, and ${value} does not`);
  } else {
    if (typeof value !== "number") throw new TypeError(`${name} must be a number or a bigint, not ${kind(value)}`);
    asInteger(name, value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }
  return value;
}

// ---- Opening

const OPEN = ["busyTimeout", "limits", "durability", "readonly", "nowait", "cacheSize"];
const LIMITS = { default: constants.LIMITS_DEFAULT, cloudflare: constants.LIMITS_CLOUDFLARE };
const DURABILITY = { normal: constants.DURABILITY_NORMAL, full: constants.DURABILITY_FULL };

/** Returns the options in the order in which the addon takes them. 0 is a default. */
export function openOptions(given) {
  const { busyTimeout, limits, durability, readonly, nowait, cacheSize } = only(given, OPEN);
  const wait = busyTimeout === undefined ? 0 : asInteger("busyTimeout", busyTimeout, 0, 0xffffffff);
  const cache = cacheSize === undefined ? 0 : asInteger("cacheSize", cacheSize, 0, Number.MAX_SAFE_INTEGER);
  const flags =
    (flag("readonly", readonly) ? constants.OPEN_READONLY : 0) |
    (flag("nowait", nowait) || busyTimeout === 0 ? constants.OPEN_NOWAIT : 0) |
    (cacheSize === 0 ? constants.OPEN_NO_CACHE : 0);
  return [flags, wait, choice("limits", limits, LIMITS) ?? 0, choice("durability", durability, DURABILITY) ?? 0, cache];
}

// ---- Writing

const LIFETIME = ["expiration", "expirationTtl"];

/** Returns expiration and expirationTtl, 0 if not given. If both are given, the latter takes precedence. */
function lifetime({ expiration, expirationTtl }) {
  const end = expiration === undefined ? 0 : integer(expiration);
  if (expirationTtl !== undefined) return [0, checkTime("expirationTtl", integer(expirationTtl), expirationTtl)];
  return [expiration === undefined ? 0 : checkTime("expiration", end, expiration), 0];
}

function checkTime(name, number, given) {
  // WebIDL converts true to 1. Workers rejects a lifetime of 1 second, but the default limits do not.
  if (number >= 1 && number <= Number.MAX_SAFE_INTEGER && typeof given !== "boolean") return number;
  const not = typeof given === "number" ? given : shown(given);
  throw new RangeError(`${name} must be a number of whole seconds from 1, not ${not}`);
}

/** Returns the JSON text of a value. A value that JSON cannot represent is an error. */
export function json(what, value) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`${what} must be finite, not ${value}`);
  if (typeof value === "bigint") throw new TypeError(`${what} must not be a bigint, which JSON cannot represent: use String()`);
  for (const type of ["Promise", "Map", "Set", "WeakMap", "WeakSet"]) {
    if (types[`is${type}`](value)) throw new TypeError(`${what} must not be a ${type}, which JSON cannot represent`);
  }
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    if (error instanceof RangeError) throw invalid(`${what} is nested too deep for JSON`);
    throw error;
  }
  if (text === undefined) throw new TypeError(`${what} must not be ${kind(value)}, which JSON cannot represent`);
  return /\\ud/i.test(text) ? withoutHalves(text) : text;
}

// An escaped surrogate pair (from JSON.rawJSON), an escaped lone surrogate, or any other escape.
const ESCAPES = /(\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|(\\ud[89a-f][0-9a-f]{2})|\\[^]/gi;

/** Replaces lone surrogates, which JSON.stringify() escapes, by U+FFFD, as in any other text. */
function withoutHalves(text) {
  return text.replace(ESCAPES, (escape, _pair, half) => (half ? "\ufffd" : escape));
}

const PUT_DEFAULTS = Object.freeze({ at: undefined, ttl: undefined, metadata: undefined });

/** Returns the options of a put: its times, and the JSON text of the metadata. If there are none, `at` is undefined. */
export function putOptions(given) {
  if (given === undefined) return PUT_DEFAULTS;
  const { metadata, expiration, expirationTtl } = known(given, [...LIFETIME, "metadata"]);
  const [at, ttl] = lifetime({ expiration, expirationTtl });
  return { at, ttl, metadata: metadata === undefined || metadata === null ? undefined : json("metadata", metadata) };
}

/** The numbers for a touch: expiration and lifetime. 0 means that it is not given. */
export function touchOptions(given) {
  return lifetime(known(given, LIFETIME, ["metadata"], "the metadata stays as it is"));
}

const INCR_DEFAULTS = Object.freeze({ initial: 0, at: 0, ttl: 0 });

/** Returns the options of an increment. */
export function incrOptions(given) {
  if (given === undefined) return INCR_DEFAULTS;
  const options = known(given, ["initial", ...LIFETIME], ["metadata"], "a counter has no metadata");
  const { initial, expiration, expirationTtl } = options;
  const [at, ttl] = lifetime({ expiration, expirationTtl });
  return { initial: initial === undefined ? 0 : int64("initial", initial), at, ttl };
}

// ---- Listing

const EACH = ["prefix", "start", "stop", "reverse", "values"];
const PAGE = ["limit", "cursor"];
const TEXTS = ["prefix", "start", "stop", "cursor"];

/** The requested type of a list's values; undefined for a list without values. */
function listed(values) {
  return values === true ? "text" : values === undefined || values === false ? undefined : type(values);
}

/** As in Workers, a limit of 0 or less means the default. */
function pageLimit(given) {
  const limit = given === undefined ? 0 : integer(given);
  return limit > 0 ? Math.min(limit, 0xffffffff) : 0; // 2³² - 1 is an error of the library
}

/** Returns the options of a list: flags, limit, the type of its values, and the texts as the addon takes them. */
export function listOptions(given) {
  const options = known(given, [...EACH, ...PAGE]);
  const type = listed(options.values);
  const flags = (flag("reverse", options.reverse) ? constants.LIST_REVERSE : 0) | (type ? constants.LIST_VALUES : 0);
  const limit = pageLimit(options.limit);
  const texts = TEXTS.map((name) => {
    if (options[name] === undefined || options[name] === null) return null;
    const text = input(name, options[name]);
    if (name === "stop" && isEmpty(text)) throw invalid(`${name} is empty: leave it out where there is none`);
    return text;
  });
  return { flags, limit, type, texts };
}

/** Returns a copy of the options of each(), so that later changes of the caller's object have no effect. */
export function eachOptions(given) {
  return known(given, EACH, PAGE, "each() goes through all pages");
}

/** Returns the prefix of a count. */
export function countPrefix(given) {
  return known(given, ["prefix"], ["start", "stop", ...PAGE], "count() counts all keys with a prefix").prefix ?? "";
}

// ---- Watching

const WATCH = ["keys", "prefix", "existing", "since", "values", "signal"];

/** Returns the options of a watch: flags, keys, prefix, token, the type of its values, and the signal that ends it. */
export function watchOptions(given) {
  const { keys = null, prefix = null, existing, since = null, values, signal = null } = only(given, WATCH);
  const type = listed(values);
  if (keys !== null && !Array.isArray(keys)) throw new TypeError(`keys must be an array, not ${kind(keys)}`);
  if (keys?.length === 0) throw invalid("keys is empty: leave it out to watch all keys");
  if (prefix !== null) input("prefix", prefix);
  if (since !== null) input("since", since);
  if (signal !== null && (typeof signal.aborted !== "boolean" || typeof signal.addEventListener !== "function")) {
    throw new TypeError(`signal must be an AbortSignal, not ${kind(signal)}`);
  }
  const flags = (type ? constants.WATCH_VALUES : 0) | (flag("existing", existing) ? constants.WATCH_EXISTING : 0);
  return { flags, keys, prefix, since, type, signal };
}

/** The time that a watch waits at most, in milliseconds. */
export function timeout(given) {
  if (given === undefined) return Infinity;
  if (typeof given !== "number") throw new TypeError(`the timeout must be a number, not ${kind(given)}`);
  if (!(given >= 0)) throw new RangeError(`the timeout must be a number of milliseconds from 0, not ${given}`);
  return given;
}

// ---- Types, export and import

const TYPES = ["text", "json", "buffer", "arrayBuffer"];

/** The requested type of a value: one of TYPES, or { type }, as in Workers. */
export function type(given) {
  const word = typeof given === "object" ? known(given, ["type"]).type : given;
  if (word === undefined) return "text";
  if (!TYPES.includes(word)) throw new TypeError(`type must be one of ${TYPES.join(", ")}, not ${shown(word)}`);
  return word;
}

const FORMATS = { json: constants.FORMAT_JSON, jsonl: constants.FORMAT_JSON_LINES };

export function exportFormat(given) {
  return choice("format", only(given, ["format"]).format, FORMATS) ?? FORMATS.json;
}

export function importFlags(given) {
  return flag("replace", only(given, ["replace"]).replace) ? constants.IMPORT_REPLACE : 0;
}

export function descriptor(fd) {
  return asInteger("the descriptor", fd, 0, 0x7fffffff);
}

export function atMost(max) {
  return max === undefined ? 0 : asInteger("max", max, 0, Number.MAX_SAFE_INTEGER);
}
