// Reads a page of keys, of one namespace or of all of them.

const encoder = new TextEncoder();

/** Compares the names of namespaces in byte order. */
function compare(one, other) {
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}

/**
 * Reads at most `limit` keys with `prefix`, from `next` of the page before on. If `namespace` is null, of all
 * namespaces.
 */
export function readPage(store, { namespace, prefix, from, limit }) {
  const names = namespace === null ? store.namespaces() : [namespace];
  const rows = [];
  let next = null;
  for (const name of names) {
    if (from !== null && compare(name, from.namespace) < 0) continue;
    const cursor = name === from?.namespace ? from.cursor : null;
    // One more key is requested, to know whether there is another page.
    const isFull = rows.length === limit;
    const page = store.namespace(name).sync.list({ prefix, cursor, limit: isFull ? 1 : limit - rows.length });
    if (isFull) {
      if (page.keys.length === 0) continue;
      next = { namespace: name, cursor: null };
      break;
    }
    for (const key of page.keys) rows.push({ namespace: name, ...key, version: key.version }); // not enumerable
    if (page.list_complete) continue;
    next = { namespace: name, cursor: page.cursor };
    break;
  }
  return { rows, next };
}

/** The number of keys on all pages. */
export function countKeys(store, { namespace, prefix, stats }) {
  if (prefix === "" && namespace !== null) return stats.get(namespace)?.live ?? 0;
  const names = namespace === null ? [...stats.keys()] : [namespace];
  const count = (name) => (prefix === "" ? stats.get(name).live : store.namespace(name).sync.count({ prefix }));
  return names.reduce((sum, name) => sum + count(name), 0);
}
