// Writes the header's options structs into memory for a call. Each function returns the struct's pointer.

import { BYTES, INCR_OPTIONS as INCR, LIST_OPTIONS as LIST, PUT_OPTIONS as PUT } from "./abi.js";

/** Writes a BigInt, or a safe integer that is not negative, as 64 bits. */
function setNumber(view, at, value) {
  if (typeof value === "bigint") return view.setBigInt64(at, value, true);
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

function setSlot(view, at, slot) {
  view.setUint32(at + BYTES.data, slot.pointer, true);
  view.setUint32(at + BYTES.len, slot.length, true);
}

/** The caller must release the metadata's slot after the call. */
export function setPut(engine, prepared) {
  const { metadata, STRUCT } = engine;
  metadata.setText("metadata", prepared.metadata);
  const { view } = engine.fresh();
  view.setUint32(STRUCT + PUT.struct_size, PUT.size, true);
  view.setUint32(STRUCT + PUT.flags, 0, true);
  setNumber(view, STRUCT + PUT.expiration, prepared.expiration);
  setNumber(view, STRUCT + PUT.expiration_ttl, prepared.ttl);
  setSlot(view, STRUCT + PUT.metadata, metadata);
  return STRUCT;
}

export function setIncr(engine, prepared) {
  const { STRUCT } = engine;
  const { view } = engine.fresh();
  view.setUint32(STRUCT + INCR.struct_size, INCR.size, true);
  view.setUint32(STRUCT + INCR.flags, 0, true);
  view.setBigInt64(STRUCT + INCR.initial, prepared.initial, true);
  setNumber(view, STRUCT + INCR.expiration, prepared.expiration);
  setNumber(view, STRUCT + INCR.expiration_ttl, prepared.ttl);
  return STRUCT;
}

export function setList(engine, list) {
  const { key, start, stop, cursor, STRUCT } = engine;
  key.setText("prefix", list.prefix);
  start.setText("start", list.start);
  stop.setText("stop", list.stop);
  cursor.setText("cursor", list.cursor);
  const { view } = engine.fresh();
  view.setUint32(STRUCT + LIST.struct_size, LIST.size, true);
  view.setUint32(STRUCT + LIST.flags, list.flags, true);
  view.setUint32(STRUCT + LIST.limit, list.limit, true);
  view.setUint32(STRUCT + LIST.reserved, 0, true);
  setSlot(view, STRUCT + LIST.prefix, key);
  setSlot(view, STRUCT + LIST.cursor, cursor);
  setSlot(view, STRUCT + LIST.start, start);
  setSlot(view, STRUCT + LIST.stop, stop);
  return STRUCT;
}
