// The constants and structs of include/luat_kv.h and src/wasm.rs, for wasm32. test/header.test.js compares them.

export const ABI_VERSION = 0;

export const LIMITS_DEFAULT = 0;
export const LIMITS_CLOUDFLARE = 1;

export const LIST_REVERSE = 1;
export const LIST_VALUES = 2;

/** The size of a version's text in bytes, including its NUL. */
export const VERSION_SIZE = 17;

export const OK = 0;
export const NOT_FOUND = 1;
export const CONFLICT = 2;
export const TOO_SMALL = 3;

/** The names of the statuses that are errors. */
export const ERRORS = {
  "-1": "INVALID",
  "-2": "IO",
  "-3": "BUSY",
  "-4": "CORRUPT",
  "-5": "READONLY",
  "-6": "LIMIT",
  "-7": "NOMEM",
  "-8": "PANIC",
  "-9": "INTERNAL",
};
export const NOMEM = -7;

/** Structs: the offsets of their fields, and their sizes. */
export const BYTES = { data: 0, len: 4, size: 8 };
export const OPEN_OPTIONS = {
  struct_size: 0,
  flags: 4,
  busy_timeout_ms: 8,
  limits: 12,
  durability: 16,
  reserved: 20,
  size: 24,
};
export const PUT_OPTIONS = { struct_size: 0, flags: 4, expiration: 8, expiration_ttl: 16, metadata: 24, size: 32 };
export const LIST_OPTIONS = {
  struct_size: 0,
  flags: 4,
  limit: 8,
  reserved: 12,
  prefix: 16,
  cursor: 24,
  start: 32,
  stop: 40,
  size: 48,
};
export const INCR_OPTIONS = { struct_size: 0, flags: 4, initial: 8, expiration: 16, expiration_ttl: 24, size: 32 };

/** The header of a record (src/backend/memory/record.rs): its size, and the offset of the length of the content. */
export const RECORD = { HEAD: 12, LENGTH: 4 };

/** For each kind of limits: the maximum length of a key, name or prefix, of a value, and of metadata, in bytes. */
export const NAME = [4096, 512];
export const VALUE = [512 * 1024 * 1024, 25 * 1024 * 1024];
export const METADATA = [64 * 1024, 1024];
/** For each kind of limits: the maximum number of keys in one call. */
export const KEYS = [10_000, 100];
/** The minimum lifetime that Cloudflare's limits allow, in seconds. */
export const CLOUDFLARE_TTL = 60;
