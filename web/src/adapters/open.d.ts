import type { OpenOptions } from "../../index.js";

/** The options of Store.open(). Without any, the store is in memory. */
export type StoreToOpen = OpenOptions;
