// Features that some runtimes lack: random numbers in Node 18, weak references in Workers whose compatibility date is
// before 2025-05-05, a clock or a channel in some. All supported runtimes have everything else that the package uses.

import { invalid } from "./error.js";

let crypto;

/**
 * Must be called before a module is loaded. It checks that there are random numbers, since the module needs some during
 * its calls.
 */
export async function prepareRandom() {
  crypto ??= globalThis.crypto ?? (await nodeCrypto());
  if (typeof crypto?.getRandomValues !== "function") throw invalid("there is no crypto.getRandomValues() here");
  try {
    random(new BigInt64Array(1));
  } catch (error) {
    const message = "there are no random numbers here: a Worker opens its store in a handler, not in its global scope";
    throw invalid(`${message} (${error.message})`, { cause: error });
  }
}

/** Node 18 has Web Crypto only as a module. Bundlers for browsers must not resolve this import. */
async function nodeCrypto() {
  if (globalThis.process?.versions?.node === undefined) return undefined;
  const name = "node:crypto";
  return (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)).webcrypto;
}

/** Fills a view with random bytes, 65 536 at most. */
export const random = (view) => crypto.getRandomValues(view);

/** A time in milliseconds, to measure intervals. */
export const elapsed = () => (globalThis.performance ?? Date).now();

/** A FinalizationRegistry. In a runtime without one, objects that are dropped without close() are not freed. */
export function registry(free) {
  if (globalThis.FinalizationRegistry) return new FinalizationRegistry(free);
  return { register() {}, unregister() {} };
}

/** A WeakRef, or a strong reference in a runtime without WeakRef. */
export function weakly(target) {
  return globalThis.WeakRef ? new WeakRef(target) : { deref: () => target };
}

/**
 * Yields to the page: resolves in a new task, after the events that have come in. (Browsers delay timers, by 4 ms, or
 * by a second in a hidden page.)
 */
export function pause() {
  if (globalThis.setImmediate) return new Promise((resolve) => setImmediate(resolve));
  if (globalThis.MessageChannel) return throughChannel();
  return new Promise((resolve) => setTimeout(resolve, 0));
}

const waiting = [];
let channel = null;

function throughChannel() {
  if (channel === null) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => waiting.shift()();
  }
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
