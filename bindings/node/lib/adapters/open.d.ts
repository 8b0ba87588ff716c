import type { OpenOptions, Path } from "../../index.js";

/** A path or a URL, by itself or as `url` beside options of Store.open(). Without any, it is the project's store. */
export type StoreToOpen = Path | (OpenOptions & { url?: Path | undefined });
