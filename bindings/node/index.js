// A key-value store in one file, with the API of Cloudflare Workers KV. index.d.ts describes each method.

import { native } from "./lib/library.js";

export { Atomic } from "./lib/atomic.js";
export { LuatKVError } from "./lib/error.js";
export { Namespace } from "./lib/namespace.js";
export { Store } from "./lib/store.js";
export { Watch } from "./lib/watch.js";

/** The version of the C library. */
export const version = native.version();
