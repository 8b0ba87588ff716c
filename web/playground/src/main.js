// The page: a script on the left, its output, and its store.

import { LuatKVError } from "luat-kv";
import { ask } from "./dialog.js";
import { $, plural } from "./dom.js";
import { KeysPanel } from "./keys/panel.js";
import { dismiss, notify } from "./notices.js";
import { isDead, isFull } from "./runner.js";
import { Script } from "./script.js";
import { Session } from "./session.js";

// Damage is reported after the store was opened: see change().
const session = new Session((error) => error.code !== "CORRUPT" && tell(error));
const storeOf = () => session.store;

const keys = new KeysPanel({ storeOf, onError: tell });
const script = new Script({
  storeOf,
  onError: (error) => (isDead(error) || isFull(error)) && tell(error),
  onBusy: (isBusy) => {
    keys.busy = isBusy;
    $("keep").disabled = isBusy;
  },
});

function tell(error) {
  if (isDead(error)) {
    keys.end();
    const text = `The store’s WebAssembly has ended, and what was in memory with it: ${causeOf(error)}.`;
    return notify("store", text, [["Start afresh", () => change(() => session.restart())]]);
  }
  if (isFull(error)) {
    const text = "The memory that this page allows is used up. Delete some keys, or start afresh.";
    return notify("store", text, [["Start afresh", () => startAfresh()]]);
  }
  if (error instanceof LuatKVError && error.code === "IO") {
    return notify(
      "kept",
      `The store cannot be kept across reloads just now: ${error.message}. It will be tried again.`,
    );
  }
  if (!(error instanceof LuatKVError)) console.error(error);
  return notify("store", `Something went wrong: ${error.message}`);
}

const causeOf = (error) => error.cause?.message ?? error.message;

/** Replaces the store by an empty one, if the user confirms. */
async function startAfresh() {
  const keys = [...session.store.stats().namespaces.values()].reduce((sum, { live }) => sum + live, 0);
  const where = session.kept ? ", here and in what is kept" : "";
  const text = `${plural(keys, "key")} will be gone${where}.`;
  if (keys > 0 && !(await ask({ title: "Start afresh?", text, yes: "Start afresh" }))) return;
  await change(async () => {
    for (const name of session.store.namespaces()) session.store.namespace(name).sync.clear();
    await session.store.flush();
    return session.restart();
  });
}

/** The notice if the persisted store could not be opened. */
function tellUnkept(error) {
  const again = ["Try again", () => change(() => keep(true))];
  if (error.code === "BUSY") {
    const text =
      "Another tab has the kept store open. This tab works in memory: what you do here is gone when it reloads.";
    return notify("kept", text, [again]);
  }
  if (error.code === "IO") {
    return notify("kept", `The store cannot be kept across reloads: ${error.message}. This tab works in memory.`, [again]);
  }
  const text = "What was kept cannot be opened: it is damaged. This tab works in memory meanwhile.";
  return notify("kept", text, [
    again,
    ["Open what is good", () => change(() => keep(true, { recover: true }))],
    ["Delete what was kept", () => change(() => forget())],
  ]);
}

/** The notice if a part of the persisted store could not be read. */
function tellDamage({ message }) {
  notify("kept", `A part of what was kept is damaged, and goes with the next change: ${message}.`);
}

/** Starts or stops persisting the store. Returns null, or the error of opening. */
async function keep(isKept, options) {
  try {
    await session.keep(isKept, options);
  } catch (error) {
    if (!["BUSY", "CORRUPT", "IO"].includes(error.code)) throw error;
    return error;
  }
  return null;
}

async function forget() {
  await session.forget();
  return keep(true);
}

/** Changes to another store. `how` returns null, or the error because of which it is not the persisted one. */
async function change(how) {
  if (script.running) return;
  $("keep").disabled = $("run").disabled = true;
  try {
    const unkept = await how();
    dismiss("store");
    if (unkept) tellUnkept(unkept);
    else dismiss("kept");
    if (session.store?.damage) tellDamage(session.store.damage);
  } catch (error) {
    tell(error);
  }
  $("keep").checked = session.kept;
  $("keep").disabled = $("run").disabled = session.store === null;
  keys.reset();
}

$("keep").addEventListener("change", async () => {
  const isKept = $("keep").checked;
  await change(() => keep(isKept));
  $("keep").focus();
});

await change(() => session.open());
if (session.store !== null) script.state = "Ready";
