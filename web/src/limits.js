// The limits of src/limits.rs, with which test/header.test.js compares them. Each list has one number for each kind of
// limits: at LIMITS_DEFAULT and at LIMITS_CLOUDFLARE.

/** The maximum length of a key, name or prefix, in bytes. */
export const MAX_NAME = [4096, 512];
/** The maximum length of a value, in bytes. */
export const MAX_VALUE = [512 * 1024 * 1024, 25 * 1024 * 1024];
/** The maximum length of metadata as JSON, in bytes. */
export const MAX_METADATA = [64 * 1024, 1024];
/** The maximum number of keys in one call. */
export const MAX_KEYS = [10_000, 100];
/** The minimum lifetime, in seconds. */
export const MIN_TTL = [1, 60];
/** The maximum number of keys that a watch can name. */
export const MAX_WATCHED = 1000;
