// Debian's Firefox, which speaks WebDriver BiDi itself.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { begin } from "./process.js";
import { answerOf, argumentOf, called, pressing } from "./webdriver.js";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** Further preferences. Firefox sets most of the ones for tests by itself when it is automated. */
const PREFERENCES = { "datareporting.policy.dataSubmissionEnabled": false, "app.update.disabledForTesting": true };

export async function start() {
  const profile = await mkdtemp(join(tmpdir(), "luat-kv-firefox-"));
  const lines = Object.entries(PREFERENCES).map((preference) => `user_pref(${JSON.stringify(preference).slice(1, -1)});`);
  await writeFile(join(profile, "user.js"), lines.join("\n"));
  const args = ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile];
  const program = begin(FIREFOX, args, { HOME: profile });
  const address = await program.says(2, /WebDriver BiDi listening on (ws:\S+)/);
  const connection = await Connection.open(`${address}/session`);
  const { capabilities } = await connection.send("session.new", { capabilities: {} });
  await connection.send("session.subscribe", { events: ["log.entryAdded"] });
  return new Firefox(connection, capabilities.browserVersion, async () => {
    await program.end();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
}

/** Commands with their responses, and events. */
class Connection {
  #socket;
  #last = 0;
  #waiting = new Map();
  onEvent = () => {};

  static open(address) {
    return new Promise((resolve, reject) => {
      const connection = new Connection();
      connection.#socket = new WebSocket(address, { maxPayload: 0 });
      connection.#socket.on("open", () => resolve(connection)).on("error", reject);
      connection.#socket.on("message", (text) => connection.#take(JSON.parse(text)));
      connection.#socket.on("close", () => connection.#lose());
    });
  }

  send(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.#last;
      this.#waiting.set(id, { method, resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  #take({ type, id, result, error, message, method, params }) {
    if (type === "event") return this.onEvent(method, params);
    const { method: asked, resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (type === "success") resolve(result);
    else reject(new Error(`${asked}: ${error}: ${message}`));
  }

  #lose() {
    for (const { method, reject } of this.#waiting.values()) reject(new Error(`${method}: Firefox has gone`));
  }
}

class Firefox {
  #connection;
  #end;
  #pages = new Map();

  constructor(connection, version, end) {
    this.#connection = connection;
    this.version = version;
    this.#end = end;
    connection.onEvent = (event, { level, method = level, text, source }) => {
      if (event === "log.entryAdded") this.#pages.get(source.context)?.heard.push(`${method}: ${text}`);
    };
  }

  async open(url) {
    const { context } = await this.#connection.send("browsingContext.create", { type: "tab" });
    const page = new Page(this.#connection, context);
    this.#pages.set(context, page);
    await page.goto(url);
    return page;
  }

  close() {
    return this.#end();
  }
}

class Page {
  #connection;
  #context;
  heard = [];

  constructor(connection, context) {
    this.#connection = connection;
    this.#context = context;
  }

  async goto(url) {
    await this.#connection.send("browsingContext.navigate", { context: this.#context, url, wait: "complete" });
  }

  async evaluate(run, argument) {
    const { type, result, exceptionDetails } = await this.#connection.send("script.callFunction", {
      functionDeclaration: called(run),
      arguments: [{ type: "string", value: argumentOf(argument) }],
      awaitPromise: true,
      target: { context: this.#context },
    });
    if (type === "exception") throw new Error(exceptionDetails.text);
    return answerOf(result.value);
  }

  async press(...keys) {
    await this.#connection.send("input.performActions", { context: this.#context, actions: pressing(keys) });
  }

  async messages() {
    return this.heard;
  }

  async close() {
    await this.#connection.send("browsingContext.close", { context: this.#context });
  }
}
