// A server for the built page, and Chromium.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { preview } from "vite";
import { launch } from "../../test/browser.js";

const root = fileURLToPath(new URL("..", import.meta.url));
/** The folder of screenshots. */
export const SHOTS = fileURLToPath(new URL("../../../target/playground/", import.meta.url));

export async function start() {
  mkdirSync(SHOTS, { recursive: true });
  const server = await preview({ root, logLevel: "error", preview: { port: 41730 } });
  const browser = await launch();
  const { port } = server.httpServer.address();
  return { browser, url: `http://127.0.0.1:${port}/`, stop: () => Promise.all([browser.close(), server.close()]) };
}

/** A page that records its errors and its requests. */
export class Visit {
  problems = [];
  requests = [];

  static async begin({ browser, url }, { hash = "", context, ...options } = {}) {
    const own = context ?? (await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options }));
    const visit = new Visit();
    visit.context = own;
    visit.isOwn = context === undefined;
    visit.url = url;
    visit.page = await own.newPage();
    visit.page.setDefaultTimeout(120_000); // long enough for a busy machine
    visit.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) visit.problems.push(message.text());
    });
    visit.page.on("pageerror", (error) => visit.problems.push(String(error)));
    visit.page.on("requestfailed", (request) => visit.problems.push(`${request.url()} failed`));
    visit.page.on("response", (response) => {
      if (!response.ok() && response.status() !== 304)
        visit.problems.push(`${response.url()} answered ${response.status()}`);
    });
    visit.page.on("request", (request) => visit.requests.push(request.url()));
    await visit.page.goto(url + hash);
    await visit.ready();
    return visit;
  }

  async ready() {
    await this.page.locator("#run:enabled").waitFor();
  }

  async pick(id) {
    await this.page.selectOption("#example", id);
  }

  /** Replaces the text in the editor by a script. */
  async write(code) {
    await this.page.locator(".cm-content").fill(code);
  }

  /** Runs the script to its end, and returns its output. */
  async run() {
    await this.page.click("#run");
    return this.ended();
  }

  async ended() {
    await this.page.locator("#state:text-matches('^(Done|Failed|Stopped)')").waitFor();
    return this.output();
  }

  async output() {
    return this.page.locator("#output").innerText();
  }

  async state() {
    return this.page.locator("#state").innerText();
  }

  /** The rows of the table as texts: { key, value, metadata, expiry }. */
  async rows() {
    return this.page.locator("#table tr.row").evaluateAll((rows) =>
      rows.map((row) => {
        const text = (name) => row.querySelector(`.${name}`).textContent;
        return {
          key: text("key"),
          value: text("value"),
          metadata: text("metadata"),
          expiry: text("expiry").replaceAll("\u00a0", " "),
        };
      }),
    );
  }

  row(key) {
    return this.page.locator("#table tr.row", { has: this.page.locator(`.open[title="${key}"]`) });
  }

  async shot(name, options) {
    // New rows are marked for a moment, except for users who prefer reduced motion.
    await this.page.emulateMedia({ reducedMotion: "reduce" });
    await this.page.screenshot({ path: `${SHOTS}${name}.png`, ...options });
  }

  /** Closes the page. It must not have had errors, nor have made requests to another origin. */
  async end() {
    await this.page.close();
    if (this.isOwn) await this.context.close();
    assert.deepEqual(this.problems, []);
    assert.deepEqual(
      this.requests.filter((url) => !url.startsWith(this.url)),
      [],
    );
  }
}
