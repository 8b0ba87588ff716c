/** A failed operation. `code` is the kind of error, such as "LIMIT". */
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

/** The kind of a value, for a message. An exception of the value's own code (a getter, a proxy) is caught. */
export function kind(value) {
  if (value === null) return "null";
  if (typeof value !== "object") return typeof value;
  try {
    if (Array.isArray(value)) return "an array";
    const name = value.constructor?.name;
    return typeof name === "string" && name !== "" && name !== "Object" ? name : "an object";
  } catch {
    return "an object"; // its proxy or getter threw
  }
}

/** A value as it is shown in a message: a string in quotes and shortened to a line, otherwise its kind. */
export function shown(value) {
  if (typeof value !== "string") return kind(value);
  return value.length > 60 ? `${JSON.stringify(value.slice(0, 60))}…` : JSON.stringify(value);
}
