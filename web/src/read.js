// Reads an entry from the module, or a page of them.

import { NOT_FOUND, OK } from "./abi.js";
import { Row } from "./cache.js";
import { setList } from "./structs.js";
import { eachEntry } from "./values.js";

/** The offsets of the fields of luat_kv_wasm_entry (src/wasm/read.rs), which has 40 bytes. */
const ENTRY = { expiration: 0, value_len: 8, metadata_len: 12, row: 16, version: 24 };
/** The length of metadata that is not there. */
const NONE = 0xffff_ffff;

function call(engine, ns, isWhole, pointer, size) {
  const { key, OUT, ERROR } = engine;
  try {
    return engine.raw.luat_kv_wasm_read(ns, key.pointer, key.length, isWhole ? 1 : 0, pointer, size, OUT, ERROR);
  } catch (error) {
    throw engine.died(error);
  }
}

/**
 * Returns a Row with the value as text or, for a type of bytes, as an ArrayBuffer; with `isWhole` also the metadata and
 * the version. For a missing key, the row's expiration is not 0 if the key has an entry that has expired.
 */
export function readRow(engine, ns, name, as, isWhole) {
  const { key, value } = engine;
  key.setText("the key", name);
  const status = call(engine, ns, isWhole, value.start, value.size);
  if (status === OK) return rowAt(engine, value.start, as, isWhole);
  if (engine.checked(status) === NOT_FOUND) return missing(engine);
  const { view } = engine.fresh();
  const metadata = view.getUint32(engine.OUT + ENTRY.metadata_len, true);
  const length = view.getUint32(engine.OUT + ENTRY.value_len, true) + (metadata === NONE ? 0 : metadata);
  const pointer = engine.alloc(length, "there is no memory to read the value");
  try {
    // The entry may have expired since.
    if (engine.checked(call(engine, ns, isWhole, pointer, length)) === NOT_FOUND) return missing(engine);
    return rowAt(engine, pointer, as, isWhole);
  } finally {
    engine.free(pointer, length);
  }
}

/** Returns the version of a key, and its expiration (0 for never), as { version, end }; null if the key is missing. */
export function readVersion(engine, ns, name) {
  const { key, value } = engine;
  key.setText("the key", name);
  // There is no room for the value, which therefore is not copied.
  if (engine.checked(call(engine, ns, true, value.start, 0)) === NOT_FOUND) return null;
  const { OUT } = engine;
  const end = engine.fresh().view.getFloat64(OUT + ENTRY.expiration, true);
  return { version: engine.versionAt(OUT + ENTRY.version), end };
}

/** Calls a function with each entry of a checked list's page. Returns the cursor of the next page, or null. */
export function readPage(engine, ns, list, use) {
  const struct = setList(engine, list);
  engine.checked(engine.call.list(ns, struct, engine.HANDLE, engine.ERROR));
  return eachEntry(engine, engine.outHandle(), use);
}

function missing(engine) {
  const row = new Row(engine.fresh().view.getFloat64(engine.OUT + ENTRY.expiration, true));
  row.isMissing = true;
  return row;
}

function rowAt(engine, pointer, as, isWhole) {
  const { view, OUT } = engine.fresh();
  const row = new Row(view.getFloat64(OUT + ENTRY.expiration, true));
  row.id = view.getUint32(OUT + ENTRY.row, true);
  const length = view.getUint32(OUT + ENTRY.value_len, true);
  if (isWhole) {
    const metadata = view.getUint32(OUT + ENTRY.metadata_len, true);
    if (metadata !== NONE) row.metadata = engine.text(pointer + length, metadata);
    row.version = engine.versionAt(OUT + ENTRY.version);
  }
  if (as === "text" || as === "json") row.text = engine.text(pointer, length);
  else row.bytes = engine.copy(pointer, length);
  return row;
}
