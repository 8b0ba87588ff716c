// Debian's WebKitGTK, whose driver implements WebDriver.

import { request } from "node:http";
import { createServer } from "node:net";
import { begin } from "./process.js";
import { answerOf, argumentOf, called, pressing } from "./webdriver.js";

const DRIVER = process.env.WEBKIT_DRIVER ?? "/usr/bin/WebKitWebDriver";

/** The time limit of scripts, which none reaches. */
const HOUR = 3_600_000;

/**
 * Runs before the scripts of a page. This protocol has no access to the console, so the page itself collects its
 * messages, uncaught errors, and failed or forbidden loads. (It does not get the browser's own warnings, nor the output
 * of workers.)
 */
function listen() {
  const heard = (globalThis.heard = []);
  for (const level of ["debug", "log", "info", "warn", "error", "trace", "assert"]) {
    const print = console[level];
    console[level] = (...values) => {
      if (level !== "assert" || !values[0]) heard.push(`${level}: ${values.map(String).join(" ")}`);
      print.apply(console, values);
    };
  }
  const hear = (type, text) => addEventListener(type, (event) => heard.push(`error: ${text(event)}`), true);
  hear("error", ({ message, target }) => message ?? `${target.src ?? target.href} could not be loaded`);
  hear("unhandledrejection", ({ reason }) => reason);
  hear("securitypolicyviolation", ({ violatedDirective, blockedURI }) => `${violatedDirective} forbids ${blockedURI}`);
}

export const prelude = `(${listen})();`;

export async function start() {
  const display = begin("Xvfb", ["-displayfd", "3", "-screen", "0", "1360x860x24", "-nolisten", "tcp"]);
  const { driver, port } = await listening({ DISPLAY: `:${await display.says(3, /(\d+)\n/)}` });
  const { sessionId, capabilities } = await exchange(port, "POST", "/session", { capabilities: {} });
  const send = (method, path, body) => exchange(port, method, `/session/${sessionId}${path}`, body);
  await send("POST", "/timeouts", { script: HOUR, pageLoad: HOUR });
  return new WebKit(send, capabilities.browserVersion, async () => {
    await send("DELETE", "");
    await driver.end();
    await display.end();
  });
}

/** The driver needs a port as an argument. Another program may take the port before the driver does. */
async function listening(env) {
  for (let tries = 1; ; tries++) {
    const port = await freePort();
    const driver = begin(DRIVER, [`--port=${port}`], env);
    while (!driver.hasEnded) {
      const status = await exchange(port, "GET", "/status").catch(() => null);
      if (status?.ready && !driver.hasEnded) return { driver, port };
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (tries === 5) throw new Error(`${DRIVER} does not start: ${driver.said(2)}`);
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** (Not with fetch, which waits for at most five minutes.) */
function exchange(port, method, path, body) {
  return new Promise((resolve, reject) => {
    const sending = request({ host: "127.0.0.1", port, method, path }, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      const { value } = JSON.parse(text);
      if (value?.error === undefined) resolve(value);
      else reject(new Error(`${method} ${path}: ${value.error}: ${value.message}`));
    });
    sending.on("error", reject);
    sending.end(body && JSON.stringify(body));
  });
}

class WebKit {
  #send;
  #end;
  #hasPage = false;

  constructor(send, version, end) {
    this.#send = oneByOne(send);
    this.version = version;
    this.#end = end;
  }

  /** The first page uses the existing window. */
  async open(url) {
    const window = this.#hasPage
      ? (await this.#send(null, "POST", "/window/new", { type: "tab" })).handle
      : await this.#send(null, "GET", "/window");
    this.#hasPage = true;
    const page = new Page((...command) => this.#send(window, ...command));
    await page.goto(url);
    return page;
  }

  close() {
    return this.#end();
  }
}

/** Commands are for one window at a time, and wait for earlier ones. */
function oneByOne(send) {
  let last = Promise.resolve();
  let current = null;
  return (window, ...command) => {
    const done = last.then(async () => {
      if (window !== null && window !== current) await send("POST", "/window", { handle: window });
      current = window ?? current;
      return send(...command);
    });
    last = done.catch(() => {});
    return done;
  };
}

class Page {
  #send;
  #heard = [];

  constructor(send) {
    this.#send = send;
  }

  async goto(url) {
    await this.messages();
    await this.#send("POST", "/url", { url });
  }

  async evaluate(run, argument) {
    const script = `(${called(run)})(arguments[0]).then(arguments[1])`;
    return answerOf(await this.#send("POST", "/execute/async", { script, args: [argumentOf(argument)] }));
  }

  async press(...keys) {
    await this.#send("POST", "/actions", { actions: pressing(keys) });
  }

  async messages() {
    this.#heard.push(...(await this.evaluate(() => globalThis.heard?.splice(0) ?? [])));
    return this.#heard;
  }

  /** Closes the page, but not its window: the session ends with its last window. */
  async close() {
    await this.goto("about:blank");
  }
}
