// Reading a page of keys, of one namespace or over all of them.

const encoder = new TextEncoder();

/** The order of namespaces: that of their bytes. */
function compare(one, other) {
  const [a, b] = [encoder.encode(one), encoder.encode(other)];
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}

/**
 * Reads at most `limit` keys that begin with `prefix`, from the place on where the page before ended: its `next`.
 * `namespace` null is all of them.
 */
export function readPage(store, { namespace, prefix, from, limit }) {
  const names = namespace === null ? store.namespaces() : [namespace];
  const rows = [];
  let next = null;
  for (const name of names) {
    if (from !== null && compare(name, from.namespace) < 0) continue;
    const cursor = name === from?.namespace ? from.cursor : null;
    // One more than there is room for is asked for only to see whether there is another page.
    const isFull = rows.length === limit;
    const page = store.namespace(name).sync.list({ prefix, cursor, limit: isFull ? 1 : limit - rows.length });
    if (isFull) {
      if (page.keys.length === 0) continue;
      next = { namespace: name, cursor: null };
      break;
    }
    for (const key of page.keys) rows.push({ namespace: name, ...key, version: key.version }); // which is not enumerable
    if (page.list_complete) continue;
    next = { namespace: name, cursor: page.cursor };
    break;
  }
  return { rows, next };
}

/** How many keys there are on all pages. */
export function countKeys(store, { namespace, prefix, stats }) {
  if (prefix === "" && namespace !== null) return stats.get(namespace)?.live ?? 0;
  const names = namespace === null ? [...stats.keys()] : [namespace];
  const count = (name) => (prefix === "" ? stats.get(name).live : store.namespace(name).sync.count({ prefix }));
  return names.reduce((sum, name) => sum + count(name), 0);
}
