// Memory that synchronous calls share, for their outputs and for the encoding of short inputs. No code of the caller
// runs while it is in use: steps that may run such code (a getter, toJSON) come before. Each worker has its own.

import { fileURLToPath } from "node:url";
import { types } from "node:util";
import koffi from "koffi";
import { constants } from "./declarations.js";
import { LuatKVError } from "./error.js";
import { layouts, native } from "./library.js";

const VALUE = 65536;
const encoder = new TextEncoder();

/** The kind of a value, for a message. */
export function kind(value) {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  return value.constructor?.name || "object";
}

export function invalid(message) {
  return new LuatKVError("INVALID", constants.INVALID, message);
}

// ---- Outputs

const outputs = Buffer.allocUnsafeSlow(64).fill(0);
const words = new BigUint64Array(outputs.buffer);
const sums = new BigInt64Array(outputs.buffer);
const flags = new Int32Array(outputs.buffer);
const address = koffi.address(outputs);

/** The address of a call's error object. */
export const ERROR = address;
/** The address of a returned handle. */
export const HANDLE = address + 8n;
/** The address of a returned number. */
export const NUMBER = address + 16n;
/** The address of a second returned number. */
export const SECOND = address + 24n;
/** The address of a returned version, which is text with a NUL. */
export const VERSION = address + 32n;

export const outHandle = () => words[1];
export const outNumber = () => Number(words[2]);
export const outSecond = () => Number(words[3]);
export const outFlag = () => flags[4] !== 0;
export const outVersion = () => outputs.latin1Slice(32, 32 + constants.VERSION_SIZE - 1);

/** A signed integer of 64 bits: a Number if that is exact, otherwise a BigInt. */
export function outSum() {
  const sum = sums[2];
  const number = Number(sum);
  return Number.isSafeInteger(number) ? number : sum;
}

/** Returns the error for a status and an error object, which it frees. */
export function failure(status, object) {
  const pointer = object === 0n ? null : object;
  const message = native.error_message(pointer);
  const errno = native.error_errno(pointer);
  native.error_free(pointer);
  const code = native.status_str(status);
  return new LuatKVError(code, status, message || code, errno);
}

/** Returns a status that is not an error, and throws for an error. */
export function checked(status) {
  if (status < 0) throw failure(status, words[0]);
  return status;
}

// ---- Inputs

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
const [lengthOf, bufferOf, offsetOf, tagOf] = ["length", "buffer", "byteOffset", Symbol.toStringTag].map(getter);
const reading = (get, bytes) => Reflect.apply(get, bytes, []);

/** Whether a value is a real Uint8Array, rather than a Proxy or another object with its prototype. */
export const isBytes = (value) => reading(tagOf, value) === "Uint8Array";

/** An input of a call: the address and the length of its bytes. */
export class Input {
  #area;
  #start;

  constructor(size = 0) {
    this.#area = Buffer.allocUnsafeSlow(size);
    this.#start = size > 0 ? koffi.address(this.#area) : null;
    this.pointer = null;
    this.length = 0;
  }

  /** Sets the input to a string, which it encodes, or to bytes. */
  set(what, value) {
    if (typeof value === "string") this.#setText(value);
    else if (isBytes(value)) this.setBytes(value);
    else throw new TypeError(`${what} must be a string or a Uint8Array, not ${kind(value)}`);
    return this;
  }

  setBytes(bytes) {
    const length = reading(lengthOf, bytes);
    const buffer = reading(bufferOf, bytes);
    if (length === 0) new Uint8Array(buffer); // throws if the memory was transferred to another thread
    // Another thread could change shared memory during the call.
    const own = types.isSharedArrayBuffer(buffer) ? Buffer.from(new Uint8Array(buffer, reading(offsetOf, bytes), length)) : bytes;
    this.pointer = length > 0 ? own : null;
    this.length = length;
    return this;
  }

  #setText(text) {
    const { read, written } = encoder.encodeInto(text, this.#area);
    if (read < text.length) {
      this.setBytes(Buffer.from(text));
    } else {
      this.pointer = this.#start;
      this.length = written;
    }
  }

  /** Drops the reference to memory that may be large. */
  forget() {
    this.pointer = null;
  }

  /** The address. It is valid as long as this object references the bytes. */
  get address() {
    return this.pointer === null || typeof this.pointer === "bigint" ? (this.pointer ?? 0n) : koffi.address(this.pointer);
  }
}

export const key = new Input(4096);
export const value = new Input(VALUE);

/** A buffer into which values are read. Longer values need another call. */
export const valueBuffer = Buffer.allocUnsafeSlow(VALUE);
export const VALUE_ADDRESS = koffi.address(valueBuffer);

/** The C string, with its NUL, for a path: a string, bytes in the system's encoding, or a file: URL. */
export function cString(what, path) {
  const plain = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof plain !== "string" && !isBytes(plain)) {
    throw new TypeError(`${what} must be a string, a Uint8Array or a file: URL, not ${kind(path)}`);
  }
  // With U+FFFD for a lone surrogate, the path would name another file.
  if (typeof plain === "string" && wellFormed(plain) !== plain) {
    throw invalid(`${what} is not Unicode text: it has half of a surrogate pair`);
  }
  const bytes = Buffer.from(typeof plain === "string" ? plain : new Uint8Array(plain));
  if (bytes.includes(0)) throw invalid(`${what} has a NUL in it`);
  return Buffer.concat([bytes, Buffer.alloc(1)]);
}

// ---- Options

const little = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** An options struct of the header, initialized by its _init function. */
export class Options {
  #fields;
  #view;
  #init;
  #kept = [];

  constructor(name) {
    const layout = layouts[`luat_kv_${name}`];
    this.pointer = Buffer.allocUnsafeSlow(layout.size);
    this.#view = new DataView(this.pointer.buffer);
    this.#fields = layout.members;
    this.#init = native[`${name}_init`];
  }

  begin() {
    this.#kept.length = 0;
    this.#init(this.pointer, this.pointer.length);
    return this;
  }

  /** Sets a field. If the value is undefined, the field keeps its default. */
  set(field, value) {
    if (value === undefined) return this;
    const { offset, type } = this.#fields[field];
    if (type.name === "uint32_t") this.#view.setUint32(offset, value, little);
    else if (type.name === "int64_t") this.#view.setBigInt64(offset, BigInt(value), little);
    else this.#setBytes(offset, type.members, value);
    return this;
  }

  #setBytes(offset, { data, len }, input) {
    this.#kept.push(input);
    this.#setWord(offset + data.offset, data.type.size, input.address);
    this.#setWord(offset + len.offset, len.type.size, BigInt(input.length));
  }

  #setWord(offset, size, word) {
    if (size === 8) this.#view.setBigUint64(offset, word, little);
    else this.#view.setUint32(offset, Number(word), little);
  }
}
