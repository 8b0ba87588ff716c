// Filling a store with what was kept of it, as far as that is whole.

import { LuatKVError } from "../error.js";
import { weightOf } from "./persister.js";

/** What is wrong with a segment before its content is looked at; null for nothing. */
function fault(segment, before) {
  const what = `segment ${segment.number} of what was kept`;
  const isFirst = before === undefined;
  if (isFirst ? segment.kind === "log" && segment.number !== 1 : segment.number !== before.number + 1) {
    return `${what} is there, but not the one before it`;
  }
  if (!(segment.bytes instanceof Uint8Array)) return `${what} cannot be read: ${segment.why ?? "it is torn or damaged"}`;
  return null;
}

/** Applies a segment; returns what is wrong with it instead. Some of its records may be applied then. */
function apply(core, segment, before) {
  const wrong = fault(segment, before);
  if (wrong !== null) return wrong;
  try {
    core.load(segment.bytes);
    return null;
  } catch (error) {
    if (error.code !== "CORRUPT" && error.code !== "INVALID") throw error;
    return `segment ${segment.number} of what was kept cannot be read: ${error.message}`;
  }
}

/** Begins again, with the segments before the one that is damaged: no part of that may be left in the store. */
function restart(core, segments) {
  core.reset();
  for (const { bytes } of segments) core.load(bytes);
}

/**
 * Loads the segments of a place. Returns { sizes, damage, isPartial }: the sizes of what was loaded, the error for what
 * was left out or null, and whether that is still in the place.
 */
export async function restore(core, place, recover) {
  const sizes = { snapshot: 0, log: 0 };
  const segments = await place.read();
  for (const [index, segment] of segments.entries()) {
    const wrong = apply(core, segment, segments[index - 1]);
    if (wrong === null) {
      const { length } = segment.bytes;
      if (segment.kind === "snapshot") sizes.snapshot += length;
      else sizes.log += weightOf(length);
      continue;
    }
    if (recover) {
      restart(core, segments.slice(0, index));
      const out = segments.length - index;
      const leftOut = `what was written since is left out (${out} of ${segments.length} segments)`;
      const message = `${wrong}; the store was opened as it was before that, and ${leftOut}`;
      return { sizes, damage: new LuatKVError("CORRUPT", message), isPartial: true };
    }
    const isLast = index > 0 && index === segments.length - 1;
    if (!isLast || !(await place.torn(segment))) {
      const rest = index > 0 ? "the store as it was before that" : "an empty store, for there is nothing before that";
      throw new LuatKVError("CORRUPT", `${wrong}; Store.open() with recover: true opens ${rest}`);
    }
    const message = `${wrong}; it was never written to its end, and is left out`;
    return { sizes, damage: new LuatKVError("CORRUPT", message), isPartial: false };
  }
  return { sizes, damage: null, isPartial: false };
}
