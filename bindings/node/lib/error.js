/** An operation that failed: `code` as in "BUSY", and `status`, the C library's number for it. */
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
