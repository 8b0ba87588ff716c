// Parses the entries of an import from JSON text, one by one. JSON.parse would give neither line numbers nor the text
// of metadata, which is stored unchanged.

import { invalid } from "./error.js";
import { checkText } from "./slot.js";

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /"[^"\\\u0000-\u001f]*"/y;
const WORD = /[-+.\w]+/y;
const INTEGER = /^-?(?:0|[1-9]\d*)$/;
/** A number in JSON. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const FIELDS = ["key", "value", "expiration", "expiration_ttl", "metadata", "base64"];
const DEEPEST = 128;

export class Records {
  #text;
  #at = 0;
  /** The position up to which line breaks were counted, and their number. */
  #counted = 0;
  #line = 1;

  constructor(text) {
    this.#text = text;
  }

  /**
   * Yields each entry as { key, value, expiration, ttl, metadata, base64 }, with a Map from the name of each of its
   * fields to the field's line number. Other fields are ignored.
   */
  *[Symbol.iterator]() {
    this.#space();
    if (this.#text.length === this.#at) throw invalid("it is empty, which is no export: one without entries is []");
    if (this.#text[this.#at] === "[") yield* this.#array();
    else while (this.#at < this.#text.length) yield this.#entry();
  }

  *#array() {
    this.#at++;
    this.#space();
    if (this.#text[this.#at] === "]") this.#at++;
    else {
      for (;;) {
        yield this.#entry();
        if (this.#text[this.#at] === "]") break;
        this.#expect(",", "`,` or `]`");
        this.#space();
      }
      this.#at++;
    }
    this.#space();
    if (this.#at < this.#text.length) throw this.#wrong("trailing characters");
  }

  #entry() {
    const lines = new Map();
    const record = this.#record(lines);
    this.#space();
    return [record, lines];
  }

  #record(lines) {
    const seen = new Map();
    if (this.#text[this.#at] !== "{") throw this.#wrong("an entry must be an object");
    this.#at++;
    this.#space();
    let isFirst = true;
    while (this.#text[this.#at] !== "}") {
      if (!isFirst) {
        this.#expect(",", "`,` or `}`");
        this.#space();
      }
      isFirst = false;
      const name = this.#string("a field's name");
      const isKnown = FIELDS.includes(name);
      if (isKnown && seen.has(name)) throw this.#wrong(`duplicate field \`${name}\``);
      this.#space();
      this.#expect(":", "`:`");
      this.#space();
      if (isKnown) {
        lines.set(name, this.#lineNow());
        seen.set(name, this.#field(name));
      } else this.#raw(`\`${name}\``);
      this.#space();
    }
    this.#at++;
    for (const name of ["key", "value"]) if (!seen.has(name)) throw this.#wrong(`missing field \`${name}\``);
    const get = (name) => seen.get(name) ?? null;
    return {
      key: seen.get("key"),
      value: seen.get("value"),
      expiration: get("expiration"),
      ttl: get("expiration_ttl"),
      metadata: get("metadata"),
      base64: get("base64") ?? false,
    };
  }

  #field(name) {
    if (name === "key" || name === "value") return this.#string(`\`${name}\``);
    if (name === "metadata") return this.#raw("metadata");
    const word = this.#match(WORD) ?? this.#text[this.#at];
    if (word === "null") return null;
    if (name === "base64") {
      if (word === "true" || word === "false") return word === "true";
      throw this.#wrong("`base64` must be a boolean");
    }
    const number = wholeNumber(word);
    if (number === null) throw this.#wrong(`\`${name}\` must be a whole number of 64 bits`);
    return number;
  }

  /** The text of a value of any kind; null for null. */
  #raw(what) {
    const start = this.#at;
    const open = [];
    do {
      this.#space();
      const next = this.#text[this.#at];
      if (next === "{" || next === "[") open.push(next);
      else if (next === "}" || next === "]") open.pop();
      else if (next === '"') this.#string(what);
      else if (next !== "," && next !== ":" && this.#match(WORD) === null) throw this.#wrong(`${what} is not JSON`);
      if (!'"'.includes(next) && "{}[],:".includes(next)) this.#at++;
      if (open.length > DEEPEST) throw this.#wrong(`${what} is nested too deep`);
    } while (open.length > 0);
    const text = this.#text.slice(start, this.#at);
    try {
      return JSON.parse(text) === null ? null : text;
    } catch (error) {
      throw this.#wrong(`${what} is not JSON: ${error.message}`);
    }
  }

  #string(what) {
    const plain = this.#match(PLAIN);
    if (plain !== null) return this.#wellFormed(what, plain.slice(1, -1));
    const text = this.#escaped();
    if (text === null) throw this.#wrong(`${what} must be a string`);
    try {
      return this.#wellFormed(what, JSON.parse(text));
    } catch (error) {
      throw this.#wrong(`${what} is not a valid string: ${error.message}`);
    }
  }

  /** A string with escapes. A regular expression that repeats so often would overflow the JavaScript engine's stack. */
  #escaped() {
    if (this.#text[this.#at] !== '"') return null;
    let [end, quote, escape] = [this.#at + 1, 0, 0];
    for (;;) {
      if (quote < end) quote = this.#text.indexOf('"', end);
      if (quote < 0) return null;
      if (escape < end) escape = this.#find("\\", end);
      if (escape > quote) break;
      end = escape + 2;
    }
    const text = this.#text.slice(this.#at, quote + 1);
    this.#at = quote + 1;
    return text;
  }

  #find(character, from) {
    const at = this.#text.indexOf(character, from);
    return at < 0 ? Infinity : at;
  }

  #wellFormed(what, text) {
    checkText(what, text);
    return text;
  }

  #space() {
    this.#match(SPACE);
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return null;
    this.#at = pattern.lastIndex;
    return found[0];
  }

  #expect(character, what) {
    if (this.#text[this.#at] !== character) throw this.#wrong(`expected ${what}`);
    this.#at++;
  }

  /** The current line. */
  #lineNow() {
    for (;;) {
      const next = this.#text.indexOf("\n", this.#counted);
      if (next < 0 || next >= this.#at) return this.#line;
      this.#line++;
      this.#counted = next + 1;
    }
  }

  #wrong(what) {
    const line = this.#lineNow();
    const column = this.#at - (this.#text.lastIndexOf("\n", this.#at - 1) + 1) + 1;
    const where = this.#at >= this.#text.length ? `${what}, but it ends here` : what;
    return invalid(`line ${line}, column ${column}: ${where}`);
  }
}

/** Converts JSON text to an integer of 64 bits. 3600.0 is an integer. Returns null for anything else. */
function wholeNumber(word) {
  if (word === undefined || !NUMBER.test(word)) return null;
  // A number with a decimal point is not exact beyond 2^53.
  if (!INTEGER.test(word) && !Number.isSafeInteger(Number(word))) return null;
  const number = BigInt(INTEGER.test(word) ? word : Number(word));
  return BigInt.asIntN(64, number) === number ? number : null;
}
