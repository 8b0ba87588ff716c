// Slots in the module's memory for the inputs of a call. No code of the caller runs between the filling of the first
// slot and the end of the call: steps that may run such code (a getter, toJSON) come before.

import { LuatKVError, invalid } from "./error.js";

const encoder = new TextEncoder();
/** The length in characters up to which a loop is faster than the encoder. Calling that costs more in browsers. */
const SHORT = globalThis.process?.versions?.node === undefined ? 160 : 32;

/** Whether a text has no lone surrogates. */
export const isWellFormed = "".isWellFormed ? (text) => text.isWellFormed() : (text) => !/\p{Surrogate}/u.test(text);

/** Throws for a text that is not well-formed. It is for texts that are not stored: a script, an import. */
export function checkText(what, text) {
  if (!isWellFormed(text)) throw invalid(`${what} is not Unicode text: it has half of a surrogate pair`);
}

/** The text that is stored: a lone surrogate becomes U+FFFD, as in TextEncoder and Workers. */
export const wellFormed = "".toWellFormed
  ? (text) => text.toWellFormed()
  : (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

// An escaped surrogate pair (from JSON.rawJSON), an escaped lone surrogate, or any other escape.
const ESCAPES = /(\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|(\\ud[89a-f][0-9a-f]{2})|\\[^]/gi;

/** The same for JSON, in which JSON.stringify() escapes lone surrogates. */
export function wellFormedJSON(text) {
  if (!text.includes("\\ud")) return text;
  return text.replace(ESCAPES, (escape, _pair, half) => (half ? "\ufffd" : escape));
}

/** The length of a text as UTF-8, in bytes. */
export function utf8Length(text) {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair counts for two of its four bytes.
    if (unit > 0x7f) length += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1;
  }
  return length;
}

/** The place of a code unit in the order of code points, which is that of UTF-8: surrogates are after the others. */
const placeOf = (unit) => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Compares two texts by their bytes as UTF-8. */
export function compareBytes(one, other) {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index++) {
    const [a, b] = [one.charCodeAt(index), other.charCodeAt(index)];
    if (a !== b) return placeOf(a) - placeOf(b);
  }
  return one.length - other.length;
}

export function overLimit(what, length, limit) {
  return new LuatKVError("LIMIT", `the ${what} is ${length} bytes long; the limit is ${limit}`);
}

/** Throws for a text that is longer than a limit in bytes, without a copy of it. */
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
  /** Whether the slot now has memory that was allocated for a long text. */
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

  /** Stores a text that wellFormed() has returned. For a long text it allocates memory, until release(). */
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

  /** Frees allocated memory, if there is any. */
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
