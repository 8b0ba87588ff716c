// Restores a store from its segments, up to the first one that is damaged.

import { LuatKVError } from "../error.js";
import { weightOf } from "./persister.js";

/** Checks a segment without its content. Returns what is wrong, or null. */
function fault(segment, before) {
  const what = `segment ${segment.number} of the persisted store`;
  const isFirst = before === undefined;
  if (isFirst ? segment.kind === "log" && segment.number !== 1 : segment.number !== before.number + 1) {
    return `${what} exists, but the one before it is missing`;
  }
  if (segment.bytes instanceof Uint8Array) return null;
  return `${what} cannot be read: ${segment.why ?? "it is torn or damaged"}`;
}

/** Applies a segment. Returns what is wrong with it, or null. Some records of a damaged segment may be applied. */
function apply(core, segment, before) {
  const wrong = fault(segment, before);
  if (wrong !== null) return wrong;
  try {
    core.load(segment.bytes);
    return null;
  } catch (error) {
    if (error.code !== "CORRUPT" && error.code !== "INVALID") throw error;
    return `segment ${segment.number} of the persisted store cannot be read: ${error.message}`;
  }
}

/** Restores only the segments before the damaged one, so that no record of that one is left in the store. */
function restart(core, segments) {
  core.reset();
  for (const { bytes } of segments) core.load(bytes);
}

/**
 * Loads the segments of a place. Returns { sizes, damage, isPartial }: the sizes of the loaded segments; the error for
 * the ones that were left out, or null; and whether those are still in the place.
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
      const leftOut = `later writes are left out (${out} of ${segments.length} segments)`;
      const message = `${wrong}; the store was opened in its state before that, and ${leftOut}`;
      return { sizes, damage: new LuatKVError("CORRUPT", message), isPartial: true };
    }
    const isLast = index > 0 && index === segments.length - 1;
    if (!isLast || !(await place.torn(segment))) {
      const rest = index > 0 ? "the store in its state before that" : "an empty store, since there is no earlier state";
      throw new LuatKVError("CORRUPT", `${wrong}; Store.open() with recover: true opens ${rest}`);
    }
    const message = `${wrong}; it was never completely written, and is left out`;
    return { sizes, damage: new LuatKVError("CORRUPT", message), isPartial: false };
  }
  return { sizes, damage: null, isPartial: false };
}
