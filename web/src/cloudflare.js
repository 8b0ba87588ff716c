// The checks for limits "cloudflare". They reject what Workers KV rejects, with the messages of Workers KV.

import { LIMITS_CLOUDFLARE } from "./abi.js";
import { LuatKVError } from "./error.js";
import { MAX_KEYS, MAX_NAME, MAX_VALUE, MIN_TTL } from "./limits.js";
import { utf8Length } from "./slot.js";

function refused(code, method, words, options) {
  return new LuatKVError(code, `KV ${method} failed: ${words}`, options);
}

/** Workers accepts only integers of 32 bits. */
export function checkInteger(name, number) {
  if (number === (number | 0)) return;
  const words = `Value out of range. Must be between ${-(2 ** 31)} and ${2 ** 31 - 1} (inclusive).`;
  throw new TypeError(`${words} ${name} is ${number}.`);
}

export function checkKey(method, name) {
  if (name === "." || name === "..") throw new TypeError(`"${name}" is not allowed as a key name.`);
  checkName(method, name);
}

/** Checks the length of a key or a prefix. */
export function checkName(method, name) {
  const limit = MAX_NAME[LIMITS_CLOUDFLARE];
  const length = name.length * 3 > limit ? utf8Length(name) : 0;
  if (length <= limit) return;
  throw refused("LIMIT", method, `414 UTF-8 encoded length of ${length} exceeds key length limit of ${limit}.`);
}

export function checkTtl(ttl) {
  checkInteger("expirationTtl", ttl);
  const wrong = `400 Invalid expiration_ttl of ${ttl}.`;
  if (ttl < 1) throw refused("INVALID", "PUT", `${wrong} Please specify integer greater than 0.`);
  const least = MIN_TTL[LIMITS_CLOUDFLARE];
  if (ttl < least) throw refused("LIMIT", "PUT", `${wrong} Expiration TTL must be at least ${least}.`);
}

export function checkExpiration(expiration) {
  checkInteger("expiration", expiration);
  const ahead = expiration - Math.floor(Date.now() / 1000);
  const wrong = `400 Invalid expiration of ${expiration}.`;
  if (ahead <= 0) {
    const right = "Please specify integer greater than the current number of seconds since the UNIX epoch.";
    throw refused("INVALID", "PUT", `${wrong} ${right}`);
  }
  const least = MIN_TTL[LIMITS_CLOUDFLARE];
  if (ahead < least) {
    throw refused("LIMIT", "PUT", `${wrong} Expiration times must be at least ${least} seconds in the future.`);
  }
}

/** Checks the length in bytes of `what`, "Metadata" or "Value". */
export function checkBytes(what, length, limit) {
  if (length > limit) throw refused("LIMIT", "PUT", `413 ${what} length of ${length} exceeds limit of ${limit}.`);
}

const LONGEST_PAGE = 1000;

export function checkPage(limit) {
  checkInteger("limit", limit);
  if (limit <= LONGEST_PAGE) return;
  const right = `Please specify an integer less than ${LONGEST_PAGE}.`;
  throw refused("LIMIT", "GET", `400 Invalid key_count_limit of ${limit}. ${right}`);
}

const LEAST_CACHE_TTL = 30;

export function checkCacheTtl(method, ttl) {
  checkInteger("cacheTtl", ttl);
  if (ttl >= LEAST_CACHE_TTL) return;
  const right = `Cache TTL must be at least ${LEAST_CACHE_TTL}.`;
  throw refused("LIMIT", method, `400 Invalid cache_ttl of ${ttl}. ${right}`);
}

// ---- Many keys

export function checkBulkType(word) {
  if (word === "text" || word === "json") return;
  throw refused("INVALID", "GET_BULK", `400 "${String(word)}" is not a valid type. Use "json" or "text"`);
}

export const BULK = "GET_BULK";
export const DELETE = "DELETE";

/** Checks the number of keys in one call, of BULK or DELETE. */
export function checkCount(method, count) {
  const most = MAX_KEYS[LIMITS_CLOUDFLARE];
  if (count > most) {
    const words = method === BULK ? `request a maximum of ${most} keys` : `delete maximum of ${most} keys per request`;
    throw refused("LIMIT", method, `400 You can ${words}`);
  }
  if (count === 0 && method === BULK) throw refused("INVALID", method, "400 You must request a minimum of 1 key");
}

/** Checks the sum of the bytes of all values of a bulk read. */
export function checkTotal(bytes) {
  const most = MAX_VALUE[LIMITS_CLOUDFLARE];
  if (bytes <= most) return;
  throw refused("LIMIT", BULK, `413 Total size of request exceeds the limit of ${most / 1024 / 1024}MB`);
}

/** The error for a value that is not JSON in a bulk read. The cause names its key. */
export function notJSON(cause) {
  const words = "400 At least one of the requested keys corresponds to a non-json value";
  return refused("INVALID", BULK, words, { cause });
}
