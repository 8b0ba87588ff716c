// Exports and imports: entries as text, in the format of Wrangler's bulk files or as JSON Lines of the same objects.
// This file and src/transfer.rs can read each other's exports.

import { LIMITS_CLOUDFLARE } from "./abi.js";
import { Commit } from "./commit.js";
import { LuatKVError, invalid, shown } from "./error.js";
import { MIN_TTL } from "./limits.js";
import * as options from "./options.js";
import { Records } from "./records.js";

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

// ---- Export

const FRAME = { json: ["[\n", ",\n", "\n]\n"], jsonl: ["", "\n", "\n"] };

/** Returns the export of the entries that `entries` passes to its callback. */
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
  // Replaces the line breaks between tokens. Within a string, a line break would be an escape.
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
  // Line breaks are allowed. But atob() also accepts text without padding, and bits after the end.
  if (toBase64(bytes) !== text.replace(/[ \t\n\f\r]+/g, "")) throw invalid("the value is not base64");
  return bytes;
}

function bytesOf(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

// ---- Import

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

/** An import in progress. */
class Task {
  #core;
  #name;
  #replace;
  #commit;
  #now = BigInt(Math.floor(Date.now() / 1000));
  /** The time from which lifetimes count. It is rounded up, so that none is shortened. */
  #begin = BigInt(Math.ceil(Date.now() / 1000));
  #answer = { stored: 0, skipped: 0 };
  #added = new Set();

  constructor(core, name, replace) {
    this.#core = core;
    this.#name = name;
    this.#replace = replace;
    this.#commit = new Commit(core);
  }

  /** Stores an entry. An error names the line of the field. */
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
        // The key's entry in the file has expired, so an existing entry is replaced by nothing.
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

  /** The time at which an entry expires; null for never. */
  #end({ expiration, ttl }) {
    if (ttl === null) return expiration;
    if (ttl < 1n) throw invalid(`the lifetime is ${ttl} seconds; it is at least 1`);
    const least = MIN_TTL[this.#core.limits];
    if (ttl < least) {
      throw new LuatKVError("LIMIT", `the lifetime is ${ttl} seconds; the limit is ${least} at least`);
    }
    return this.#begin + ttl;
  }

  #isThere(key) {
    return this.#added.has(key) || this.#core.has(this.#core.handle(this.#name), key);
  }

  /**
   * Runs a function with the clock stopped, so that no entry expires during the import. With Cloudflare's limits it is
   * stopped a minute ago: lifetimes had to be at least a minute when they began, and may be shorter by now.
   */
  #early(run) {
    const { engine, limits } = this.#core;
    engine.stoppedAt = Number(this.#now) - (limits === LIMITS_CLOUDFLARE ? MIN_TTL[LIMITS_CLOUDFLARE] : 0);
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

/** A time as 64 bits. A time that does not fit is too late in any case. */
function inTime(end) {
  return BigInt.asIntN(64, end) === end ? end : 2n ** 63n - 1n;
}
