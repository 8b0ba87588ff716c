// Places in the module's memory for the inputs of a call. No code of a user's runs between the filling of the first and
// the end of the call: what may run some (a getter, toJSON) is done before.

import { LuatKVError, invalid } from "./error.js";

const encoder = new TextEncoder();
/** Up to how many characters a loop is faster than the encoder. */
const SHORT = 64;

const isWellFormed = "".isWellFormed ? (text) => text.isWellFormed() : (text) => !/\p{Surrogate}/u.test(text);

/** Refuses a text that is not one to store: a script, an import. */
export function checkText(what, text) {
  if (!isWellFormed(text)) throw invalid(`${what} is not Unicode text: it has half of a surrogate pair`);
}

/** A text as it is stored: half of a surrogate pair becomes U+FFFD, as in TextEncoder and Workers. */
export const wellFormed = "".toWellFormed
  ? (text) => text.toWellFormed()
  : (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

// An escaped pair (out of JSON.rawJSON), an escaped half of one, or any other escape.
const ESCAPES = /(\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|(\\ud[89a-f][0-9a-f]{2})|\\[^]/gi;

/** The same for JSON, in which JSON.stringify() escapes halves. */
export function wellFormedJSON(text) {
  if (!text.includes("\\ud")) return text;
  return text.replace(ESCAPES, (escape, _pair, half) => (half ? "\ufffd" : escape));
}

/** How many bytes a text takes as UTF-8. */
export function utf8Length(text) {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair counts for two of its four bytes.
    if (unit > 0x7f) length += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return length;
}

export function overLimit(what, length, limit) {
  return new LuatKVError("LIMIT", `the ${what} is ${length} bytes long; the limit is ${limit}`);
}

/** Refuses a text that is longer than a limit in bytes, without a copy of it. */
export function checkLength(what, text, limit) {
  if (text.length * 3 <= limit) return;
  const length = utf8Length(text);
  if (length > limit) throw overLimit(what, length, limit);
}

export class Slot {
  pointer = 0;
  length = 0;
  #engine;
  #start;
  #size;
  #view;
  /** Whether this is memory that was allocated for what did not fit. */
  #extra = false;

  constructor(engine, start, size) {
    this.#engine = engine;
    this.#start = start;
    this.#size = size;
    this.pointer = start;
  }

  get start() {
    return this.#start;
  }

  get size() {
    return this.#size;
  }

  renew(buffer) {
    this.#view = new Uint8Array(buffer, this.#start, this.#size);
  }

  /** Takes a text, as wellFormed() has it; one that does not fit gets memory of its own, until release(). */
  setText(what, text) {
    const view = this.#engine.fresh() && this.#view;
    const units = text.length;
    if (units <= SHORT) {
      let index = 0;
      for (; index < units; index++) {
        const unit = text.charCodeAt(index);
        if (unit > 0x7f) break;
        view[index] = unit;
      }
      if (index === units) {
        this.length = units;
        return;
      }
    }
    if (units * 3 <= this.#size) this.length = encoder.encodeInto(text, view).written;
    else this.setBytes(what, encoded(what, text));
  }

  setBytes(what, bytes) {
    const { length } = bytes;
    if (length > this.#size) {
      this.pointer = this.#engine.alloc(length, `${what} does not fit into memory`);
      this.#extra = true;
    }
    this.#engine.fresh().bytes.set(bytes, this.pointer);
    this.length = length;
  }

  /** Gives back what was allocated, if anything was. */
  release() {
    if (!this.#extra) return;
    this.#engine.free(this.pointer, this.length);
    this.pointer = this.#start;
    this.#extra = false;
  }
}

function encoded(what, text) {
  try {
    return encoder.encode(text);
  } catch (error) {
    throw new LuatKVError("NOMEM", `out of memory: ${what} is ${text.length} characters long`, { cause: error });
  }
}
