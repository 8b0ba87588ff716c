// The output of scripts: bytes that are split into lines.

/** Longer lines are split, so that a script that never ends its line needs no more memory. */
const LONGEST = 1024 * 1024;
/** More output than this is delivered immediately; less, at the script's next check. */
const MOST = 4 * LONGEST;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** An unfinished line. */
class Line {
  #pieces = [];
  length = 0;

  add(bytes) {
    this.#pieces.push(bytes.slice());
    this.length += bytes.length;
  }

  take() {
    let bytes = this.#pieces[0] ?? new Uint8Array(0);
    if (this.#pieces.length > 1) {
      bytes = new Uint8Array(this.length);
      let at = 0;
      for (const piece of this.#pieces) {
        bytes.set(piece, at);
        at += piece.length;
      }
    }
    this.#pieces = [];
    this.length = 0;
    return decoder.decode(bytes);
  }
}

export class Printer {
  #print;
  #lines = [];
  #waiting = 0;
  #outputs = [new Line(), new Line()];

  constructor(print) {
    this.#print = print;
  }

  /** Takes bytes of the standard output or the standard error. */
  write(bytes, isError) {
    const line = this.#outputs[isError ? 1 : 0];
    let rest = bytes;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      line.add(rest.subarray(0, end));
      this.#complete(line);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 0) line.add(rest);
    if (line.length >= LONGEST) this.#complete(line);
    if (this.#waiting >= MOST) this.deliver();
  }

  #complete(line) {
    this.#waiting += line.length + 64;
    this.#lines.push(line.take());
  }

  /** Completes an unfinished line. The script has ended. */
  finish() {
    for (const line of this.#outputs) if (line.length > 0) this.#complete(line);
  }

  /** Delivers the complete lines. */
  deliver() {
    while (this.#lines.length > 0) {
      const lines = this.#lines;
      this.#lines = [];
      this.#waiting = 0;
      for (const line of lines) {
        try {
          this.#print(line);
        } catch (error) {
          this.#lines = []; // print() failed, so the rest is dropped
          throw error;
        }
      }
    }
  }
}
