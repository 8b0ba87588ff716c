// Formats values: JSON, text or bytes, in one line or in full.

import { number, plural } from "../dom.js";

const PREVIEW = 160;
const FULL = 100_000;
const FULL_BYTES = 1024;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Control characters that text does not contain. A value with one of them is shown as bytes. */
const CONTROL = /[\0-\x08\x0e-\x1f\x7f]/;

function textOf(bytes) {
  try {
    const text = strict.decode(bytes);
    return CONTROL.test(text) ? null : text;
  } catch {
    return null;
  }
}

function parsed(text) {
  if (!/^\s*[[{"\d\-tfn]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Returns the kind of a value, its size, and its beginning in one line. */
export function preview(buffer) {
  const bytes = new Uint8Array(buffer);
  const size = bytes.length;
  // Only the beginning of a long value is examined. It may end within a character.
  const isLong = size > 4 * PREVIEW;
  const text = isLong ? beginning(bytes) : textOf(bytes);
  if (text === null) return { kind: "bytes", size, text: hex(bytes.subarray(0, 24)) + (size > 24 ? " …" : "") };
  if (size === 0) return { kind: "empty", size, text: "empty" };
  const isJSON = isLong ? /^\s*[[{]/.test(text) : parsed(text) !== undefined;
  const line = text.replace(/\s+/g, " ");
  const shown = line.length > PREVIEW ? `${line.slice(0, PREVIEW)}…` : line;
  return { kind: isJSON ? "json" : "text", size, text: shown };
}

function beginning(bytes) {
  for (let end = 4 * PREVIEW; end > 4 * PREVIEW - 4; end--) {
    const text = textOf(bytes.subarray(0, end));
    if (text !== null) return text;
  }
  return null;
}

/** Returns the whole value, JSON with indentation, and its description. */
export function inFull(buffer) {
  const bytes = new Uint8Array(buffer);
  const size = plural(bytes.length, "byte");
  const text = textOf(bytes);
  if (text === null) return { about: `bytes, ${size}`, text: dump(bytes) };
  const value = bytes.length <= 10 * FULL ? parsed(text) : undefined;
  const pretty =
    value === undefined || value === null || typeof value !== "object" ? text : JSON.stringify(value, null, 2);
  const rest = pretty.length - FULL;
  return {
    about: `${value === undefined ? "text" : "JSON"}, ${size}`,
    text: rest > 0 ? `${pretty.slice(0, FULL)}\n… ${number(rest)} more characters` : pretty,
  };
}

/** Formats bytes like a hex editor: sixteen per line, with their characters. */
function dump(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, FULL_BYTES); at += 16) {
    const part = bytes.subarray(at, at + 16);
    const characters = Array.from(part, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex(part).padEnd(47)}  ${characters}`);
  }
  if (bytes.length > FULL_BYTES) lines.push(`… ${number(bytes.length - FULL_BYTES)} more bytes`);
  return lines.join("\n");
}
