// Debian's Chromium, by Playwright.

import { launch } from "../browser.js";
import { answerOf, argumentOf, called } from "./webdriver.js";

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
    page.on("console", (message) => this.#hear(message.type(), message.text()));
    page.on("pageerror", (error) => this.#hear("error", error));
  }

  #hear(type, text) {
    this.#heard.push(`${type === "warning" ? "warn" : type}: ${text}`);
  }

  async goto(url) {
    await this.#page.goto(url);
  }

  async evaluate(run, argument) {
    return answerOf(await this.#page.evaluate(`(${called(run)})(${JSON.stringify(argumentOf(argument))})`));
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
