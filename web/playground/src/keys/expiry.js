// Formats the remaining lifetime of keys.

import { number } from "../dom.js";

const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];
/** The last second that a Date can represent. */
const LAST = 8.64e12;

/** Returns "in 59 s", "in 4 min 3 s", "in 23 h 59 min"; a dash for never. */
export function remaining(expiration, now) {
  if (expiration === undefined) return "–";
  const seconds = Math.max(Math.ceil(expiration - now), 0);
  const at = UNITS.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "now";
  const [unit, size] = UNITS[at];
  const first = `in ${number(Math.floor(seconds / size))}\u00a0${unit}`;
  const lesser = UNITS[at + 1];
  const rest = lesser ? Math.floor((seconds % size) / lesser[1]) : 0;
  return rest > 0 && seconds < 10 * 86400 ? `${first} ${rest}\u00a0${lesser[0]}` : first;
}

export function exactly(expiration) {
  if (expiration === undefined) return "never";
  if (expiration > LAST) return `${number(expiration)} (Unix seconds)`;
  return `${new Date(expiration * 1000).toLocaleString()} (${expiration})`;
}
