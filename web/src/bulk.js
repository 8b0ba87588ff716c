// Exports and imports: entries as text, in the form of Wrangler's bulk files or as JSON Lines of the same objects. What
// src/transfer.rs writes, this reads, and the other way round.

import * as abi from "./abi.js";
import { Commit } from "./commit.js";
import { LuatKVError, invalid, shown } from "./error.js";
import * as options from "./options.js";
import { Records } from "./records.js";

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

// ---- Out

const FRAME = { json: ["[\n", ",\n", "\n]\n"], jsonl: ["", "\n", "\n"] };

/** Writes what `entries` hands, one by one, to the function that it is given. */
export function exportText(format, entries) {
  const [open, between, close] = FRAME[format];
  try {
    const parts = [];
    entries((entry) => parts.push(recordOf(entry)));
    return open + parts.join(between) + (parts.length > 0 || format === "json" ? close : "");
  } catch (error) {
    if (error instanceof LuatKVError) throw error;
    throw new LuatKVError("LIMIT", "the export is more than a string can hold", { cause: error });
  }
}

function recordOf({ name, bytes, expiration, metadata }) {
  let value;
  let base64 = "";
  try {
    value = strict.decode(bytes);
  } catch {
    value = toBase64(bytes);
    base64 = ',"base64":true';
  }
  const end = expiration === 0n ? "" : `,"expiration":${expiration}`;
  // A line break within a string of it would be an escape.
  const data = metadata === null ? "" : `,"metadata":${metadata.replace(/[\n\r]/g, " ")}`;
  return `{"key":${JSON.stringify(name)},"value":${JSON.stringify(value)}${end}${data}${base64}}`;
}

function toBase64(bytes) {
  const parts = [];
  const step = 3 * 8192;
  for (let at = 0; at < bytes.length; at += step) {
    parts.push(btoa(String.fromCharCode(...bytes.subarray(at, at + step))));
  }
  return parts.join("");
}

function fromBase64(text) {
  let bytes;
  try {
    bytes = bytesOf(atob(text));
  } catch (error) {
    throw invalid("the value is not base64", { cause: error });
  }
  // Lines may be broken. But atob() takes more than base64: no padding, bits behind the end.
  if (toBase64(bytes) !== text.replace(/[ \t\n\f\r]+/g, "")) throw invalid("the value is not base64");
  return bytes;
}

function bytesOf(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

// ---- In

function textOf(from) {
  if (typeof from === "string") return from;
  try {
    return strict.decode(from);
  } catch (error) {
    throw invalid("the import is not UTF-8", { cause: error });
  }
}

/** Stores all entries of an export in a namespace, or none of them. */
export function importText(from, replace, core, name) {
  const text = textOf(from).replace(/^\ufeff/, "");
  if (text.startsWith("SQLite format 3\0")) throw invalid("this is a SQLite database, not an export");
  const task = new Task(core, name, replace);
  try {
    for (const [record, lines] of new Records(text)) task.store(record, lines);
    return task.finish();
  } finally {
    task.free();
  }
}

/** An import under way. */
class Task {
  #core;
  #name;
  #replace;
  #commit;
  #now = BigInt(Math.floor(Date.now() / 1000));
  /** Where lifetimes begin: none is cut short. */
  #begin = BigInt(Math.ceil(Date.now() / 1000));
  #answer = { stored: 0, skipped: 0 };
  #added = new Set();

  constructor(core, name, replace) {
    this.#core = core;
    this.#name = name;
    this.#replace = replace;
    this.#commit = new Commit(core);
  }

  /** Stores an entry; what is wrong with it is told with the line of the field. */
  store(record, lines) {
    let field = "key";
    try {
      const { limits } = this.#core;
      const key = options.key(record.key, limits);
      field = "value";
      const value = record.base64 ? fromBase64(record.value) : record.value;
      options.checkValue(value, limits);
      field = record.ttl === null ? "expiration" : "expiration_ttl";
      const end = this.#end(record);
      if (end !== null && end <= this.#now) {
        // The file said what the key is to be, and that is over.
        if (this.#replace) this.#step(key, (commit, ns) => commit.delete(ns));
        this.#answer.skipped++;
      } else if (!this.#replace && this.#isThere(key)) this.#answer.skipped++;
      else {
        const prepared = new options.Prepared();
        if (end !== null) prepared.expiration = inTime(end);
        field = record.metadata === null ? field : "metadata";
        prepared.metadata = record.metadata ?? "";
        this.#step(key, (commit, ns) => commit.put(ns, value, prepared));
        if (!this.#replace) this.#added.add(key);
        this.#answer.stored++;
      }
    } catch (error) {
      if (!(error instanceof LuatKVError || error instanceof TypeError)) throw error;
      const code = error instanceof LuatKVError ? error.code : "INVALID";
      const line = lines.get(field) ?? lines.get("key");
      throw new LuatKVError(code, `line ${line}, key ${shown(record.key)}: ${error.message}`, { cause: error });
    }
  }

  #step(key, change) {
    this.#early(() => this.#commit.step(this.#name, key, change));
  }

  /** When an entry is gone; null for never. */
  #end({ expiration, ttl }) {
    if (ttl === null) return expiration;
    if (ttl < 1n) throw invalid(`expirationTtl is ${ttl}; it is seconds from now, at least 1`);
    const least = this.#core.limits === abi.LIMITS_CLOUDFLARE ? abi.CLOUDFLARE_TTL : 1;
    if (ttl < least) {
      throw new LuatKVError("LIMIT", `expirationTtl is ${ttl} seconds from now; the limit is ${least} at least`);
    }
    return this.#begin + ttl;
  }

  #isThere(key) {
    return this.#added.has(key) || this.#core.has(this.#core.handle(this.#name), key);
  }

  /**
   * However little time is left of a lifetime, it was long enough when it began; so Cloudflare's least one is counted
   * from a minute ago. And the clock stands: what ends while the import goes on was not over when that began.
   */
  #early(run) {
    const { engine, limits } = this.#core;
    engine.stoppedAt = Number(this.#now) - (limits === abi.LIMITS_CLOUDFLARE ? abi.CLOUDFLARE_TTL : 0);
    try {
      run();
    } finally {
      engine.stoppedAt = null;
    }
  }

  finish() {
    this.#early(() => this.#commit.run());
    this.#core.wrote();
    return this.#answer;
  }

  free() {
    this.#commit.free();
  }
}

/** A time as 64 bits; one that does not fit is too late anyway. */
function inTime(end) {
  return BigInt.asIntN(64, end) === end ? end : 2n ** 63n - 1n;
}
