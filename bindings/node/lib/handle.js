// Native handles. Each is closed once: by close(), or when the object that owns it is collected. When a thread ends,
// the addon closes those that are still open.

import { invalid } from "./input.js";
import { native } from "./library.js";

const forgotten = new FinalizationRegistry((handle) => handle.close());

export class Handle {
  #number;
  #parent;
  #onClose;
  #children = null;

  /** Takes ownership of a handle of the addon. It is closed with its parent: onClose(number) is called just before. */
  constructor(number, parent, onClose) {
    this.#number = number;
    this.#parent = parent;
    this.#onClose = onClose;
    if (parent) (parent.#children ??= new Set()).add(this);
  }

  get closed() {
    return this.#number === 0;
  }

  /** The addon's number of the handle. */
  get number() {
    if (this.#number === 0) throw invalid("the store is closed");
    return this.#number;
  }

  /** Closes the handle. A call of it that runs in another thread still ends as it would. */
  close() {
    const number = this.#number;
    if (number === 0) return;
    this.#number = 0;
    forgotten.unregister(this);
    this.#parent?.#children.delete(this);
    if (this.#children) for (const child of this.#children) child.close();
    this.#onClose?.(number);
    native.close(number);
  }
}

/** Closes a handle when its owner is collected. */
export function closeWith(object, handle) {
  forgotten.register(object, handle, handle);
  return handle;
}
