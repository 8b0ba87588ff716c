// Tokens: what a watch knows of its keys, as text, from which another watch goes on. Versions are unique among all
// stores, so a token may come from a store that has gone: what differs here is told.
//
// A token has the namespace, a field for each key, and a checksum. A field has the length of what the key shares with
// the one before, the rest of the key, its version, and its expiration. Keys are escaped, so that a token is good in a URL,
// a header or a cookie.

import { LIMITS_DEFAULT } from "./abi.js";
import { invalid } from "./error.js";
import { MAX_NAME } from "./limits.js";

const FORMAT = "w1";
const FIELD = /^(\d{1,5}):([^:]*):([\w-]{16}):(\d{0,20})$/;
/** The maximum length of an encoded key. A forged token with longer ones could need much more memory than its own size. */
const LONGEST = 3 * MAX_NAME[LIMITS_DEFAULT];

/** `rows` is a Map from names to { version, end }. */
export function tokenOf(namespace, rows) {
  const fields = [FORMAT, encodeURIComponent(namespace)];
  const names = Array.from(rows, ([name, row]) => [encodeURIComponent(name), row]);
  names.sort(([one], [other]) => (one < other ? -1 : 1));
  let before = "";
  for (const [name, { version, end }] of names) {
    let common = 0;
    while (common < before.length && name[common] === before[common]) common++;
    fields.push(`${common}:${name.slice(common)}:${version}:${end || ""}`);
    before = name;
  }
  const body = fields.join("/");
  return `${body}/${checksum(body)}`;
}

/** Returns the rows of a token, those for which isWatched(name) is true. */
export function rowsOf(token, namespace, isWatched) {
  const end = token.lastIndexOf("/");
  const body = token.slice(0, Math.max(end, 0));
  if (token.slice(end + 1) !== checksum(body)) throw malformed();
  const [format, from = "", ...fields] = body.split("/");
  if (format !== FORMAT) throw invalid("the token has the format of another version of this package");
  const origin = decoded(from);
  if (origin !== namespace) throw invalid(`the token comes from the namespace ${JSON.stringify(origin)}`);
  const rows = new Map();
  let before = "";
  for (const field of fields) {
    const [, common, rest, version, expiration] = FIELD.exec(field) ?? [null, Infinity];
    if (common > before.length) throw malformed();
    const encoded = before.slice(0, common) + rest;
    if (encoded <= before || encoded.length > LONGEST) throw malformed();
    const name = decoded(encoded);
    if (isWatched(name)) rows.set(name, { version, end: Number(expiration), round: 0 });
    before = encoded;
  }
  return rows;
}

const malformed = () => invalid("the token is malformed: use one that a watch gave");

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed();
  }
}

/** FNV-1a, which is sufficient to detect a token that is cut off or changed by mistake. */
function checksum(text) {
  let sum = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) sum = Math.imul(sum ^ text.charCodeAt(index), 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}
