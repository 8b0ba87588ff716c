import { Store } from "../store.js";

const isPlace = (given) => typeof given !== "object" || given instanceof URL || given instanceof Uint8Array;

/** Opens a store for an adapter: what a path or a URL names, by itself or as `url` among options; else the project's. */
export function openStore(given = {}) {
  const { url, ...options } = isPlace(given) ? { url: given } : given;
  return url === undefined ? Store.openProject(null, options) : Store.open(url, options);
}
