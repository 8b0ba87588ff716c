/** An operation that failed: `code` says how, as in "LIMIT". */
export class LuatKVError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }

  static {
    Object.defineProperty(this.prototype, "name", { value: "LuatKVError", configurable: true, writable: true });
  }
}

export function invalid(message, options) {
  return new LuatKVError("INVALID", message, options);
}

export function closed() {
  return invalid("the store is closed");
}

/** What kind of thing a value is, for a message; of its own code, none runs. */
export function kind(value) {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  try {
    if (Array.isArray(value)) return "an array";
    const name = value.constructor?.name;
    return typeof name === "string" && name !== "" && name !== "Object" ? name : "an object";
  } catch {
    return "an object"; // whose proxy or getter refuses
  }
}

/** A value as it stands in a message: texts in quotes, and no longer than a line. */
export function shown(value) {
  if (typeof value !== "string") return kind(value);
  return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value);
}
