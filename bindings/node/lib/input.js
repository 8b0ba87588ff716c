// Checks the inputs of calls: text and bytes. The addon takes strings and Uint8Arrays as they are.

import { fileURLToPath } from "node:url";
import { LuatKVError } from "./error.js";
import { constants } from "./library.js";

/** The kind of a value, for a message. */
export function kind(value) {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name || "object";
}

export function invalid(message) {
  return new LuatKVError("INVALID", constants.INVALID, message);
}

/**
 * The text that is stored: a lone surrogate becomes U+FFFD, as in TextEncoder, Buffer and Workers. (Node 18 has no
 * toWellFormed.)
 */
export const wellFormed = "".toWellFormed
  ? (text) => text.toWellFormed()
  : (text) => text.replace(/\p{Surrogate}/gu, "\ufffd");

// The getters of the prototype, since a subclass or an instance may override `length` with a wrong value, or with a
// getter that has side effects.
const prototype = Object.getPrototypeOf(Uint8Array.prototype);
const getter = (name) => Object.getOwnPropertyDescriptor(prototype, name).get;
const [lengthOf, tagOf] = ["length", Symbol.toStringTag].map(getter);

/** Whether a value is a real Uint8Array, rather than a Proxy or another object with its prototype. */
export const isBytes = (value) => Reflect.apply(tagOf, value, []) === "Uint8Array";

/** Returns an input of a call, if it is a string or bytes. */
export function input(what, value) {
  if (typeof value === "string" || isBytes(value)) return value;
  throw new TypeError(`${what} must be a string or a Uint8Array, not ${kind(value)}`);
}

/** Whether an input has no bytes. */
export const isEmpty = (value) => (typeof value === "string" ? value === "" : Reflect.apply(lengthOf, value, []) === 0);

/** Returns the bytes of a path: of a string, of bytes in the system's encoding, or of a file: URL. */
export function pathInput(what, path, url = "a file: URL") {
  const plain = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof plain !== "string" && !isBytes(plain)) {
    throw new TypeError(`${what} must be a string, a Uint8Array or ${url}, not ${kind(path)}`);
  }
  // With U+FFFD for a lone surrogate, the path would name another file.
  if (typeof plain === "string" && wellFormed(plain) !== plain) {
    throw invalid(`${what} is not Unicode text: it has half of a surrogate pair`);
  }
  const bytes = Buffer.from(typeof plain === "string" ? plain : new Uint8Array(plain));
  if (bytes.includes(0)) throw invalid(`${what} has a NUL in it`);
  return bytes;
}
