/**
 * A failed operation. `code` is the kind of error, such as "BUSY"; `status` is the C library's number for it; `errno` is
 * the number of the system's error, and missing if no system call failed.
 */
export class LuatKVError extends Error {
  constructor(code, status, message, errno = 0) {
    super(message);
    this.code = code;
    this.status = status;
    if (errno !== 0) this.errno = errno;
  }

  static {
    Object.defineProperty(this.prototype, "name", { value: "LuatKVError", configurable: true, writable: true });
  }
}
