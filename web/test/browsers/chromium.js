// Debian's Chromium, by Playwright.

import { launch } from "../browser.js";

export async function start() {
  const browser = await launch();
  const context = await browser.newContext();
  return {
    version: browser.version(),
    open: async (url) => {
      const page = new Page(await context.newPage());
      await page.goto(url);
      return page;
    },
    close: () => browser.close(),
  };
}

class Page {
  #page;
  #heard = [];

  constructor(page) {
    this.#page = page;
    page.on("console", (message) => this.#heard.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => this.#heard.push(`error: ${error}`));
  }

  async goto(url) {
    await this.#page.goto(url);
  }

  evaluate(run, argument) {
    return this.#page.evaluate(run, argument);
  }

  async press(...keys) {
    for (const key of keys) await this.#page.keyboard.press(key);
  }

  async messages() {
    return this.#heard;
  }

  async close() {
    await this.#page.close();
  }
}
