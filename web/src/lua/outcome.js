// The outcome of a script: its results, or an error.

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** A script that failed, was stopped, or could not be compiled. */
export class LuaError extends Error {
  constructor(message, { traceback = "", source = null, line = null, stopped = null, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.traceback = traceback;
    this.source = source;
    this.line = line;
    this.stopped = stopped;
  }

  static {
    Object.defineProperty(this.prototype, "name", { value: "LuaError", configurable: true, writable: true });
  }
}

const KIND = { NIL: 0, FALSE: 1, TRUE: 2, INTEGER: 3, FLOAT: 4, STRING: 5, JSON: 6 };

function text(bytes) {
  try {
    return strict.decode(bytes);
  } catch {
    return bytes.slice(); // not UTF-8
  }
}

function asInteger(view, at) {
  const integer = view.getBigInt64(at, true);
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** Decodes an outcome: each value is a byte with its kind, a length, and its bytes. */
function* values(outcome) {
  const view = new DataView(outcome.buffer, outcome.byteOffset, outcome.byteLength);
  for (let at = 0; at < outcome.length; ) {
    const kind = view.getUint8(at);
    const length = view.getUint32(at + 1, true);
    at += 5;
    yield { kind, view, at, bytes: outcome.subarray(at, at + length) };
    at += length;
  }
}

export function results(outcome) {
  const all = [];
  for (const { kind, view, at, bytes } of values(outcome)) {
    switch (kind) {
      case KIND.NIL:
        all.push(null);
        break;
      case KIND.INTEGER:
        all.push(asInteger(view, at));
        break;
      case KIND.FLOAT:
        all.push(view.getFloat64(at, true));
        break;
      case KIND.STRING:
        all.push(text(bytes));
        break;
      case KIND.JSON:
        all.push(JSON.parse(lenient.decode(bytes)));
        break;
      default:
        all.push(kind === KIND.TRUE);
    }
  }
  return all;
}

/** The full name of a source whose name Lua has shortened. */
function fullName(shown, name) {
  return shown.startsWith("...") && name.endsWith(shown.slice(3)) ? name : shown;
}

function position(message, traceback, name) {
  const found = /^([^\n]+?):(\d+): /.exec(message) ?? /\n\t([^\n]+?):(\d+): in /.exec(traceback);
  return found === null ? {} : { source: fullName(found[1], name), line: Number(found[2]) };
}

function stoppedMessage(run, message) {
  const where = /^([^\n]+?:\d+: )/.exec(message)?.[1] ?? "";
  if (run.reason === "timeout") return `${where}the script was stopped: it ran for ${run.timeout} ms`;
  return message;
}

/** The error for a script that failed. */
export function failed(outcome, { name, exitCode, reason, run }) {
  const [message, traceback] = [...values(outcome)].map(({ bytes }) => lenient.decode(bytes));
  const details = { traceback: traceback ?? "", ...position(message ?? "", traceback ?? "", name) };
  if (exitCode > 0) return new LuaError(`the script ended by os.exit(${exitCode})`, details);
  if (reason === null) return new LuaError(message, details);
  const cause = run.cause();
  return new LuaError(stoppedMessage(run, message ?? "the script was stopped"), { ...details, stopped: reason, cause });
}

/** The error for a script whose signal was aborted before it began. */
export function aborted(signal) {
  return new LuaError("the script was stopped: its signal was aborted", { stopped: "signal", cause: signal.reason });
}

/** The error for a script whose error does not fit into memory. */
export function unreadable(maxMemory) {
  return new LuaError(`not enough memory; maxMemory is ${maxMemory} bytes`);
}
