import { Store } from "../store.js";

/** Opens a store for an adapter, with the options of Store.open(). */
export const openStore = (options) => Store.open(options);
