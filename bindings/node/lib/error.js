/** A failed operation. `code` is the kind of error, such as "BUSY"; `status` is the C library's number for it. */
export class LuatKVError extends Error {
  constructor(code, status, message) {
    super(message);
    this.code = code;
    this.status = status;
  }

  static {
    Object.defineProperty(this.prototype, "name", { value: "LuatKVError", configurable: true, writable: true });
  }
}
