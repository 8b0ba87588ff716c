// What everybody needs of a page, as far as a program can see it: texts that stand out, and controls that have names.

/** Runs in the page. Answers { checked: { texts, controls }, faults }. */
export function audit() {
  const faults = [];
  const checked = { texts: 0, controls: 0 };

  const channels = (color) => {
    const [red, green, blue, alpha = 1] = color.match(/[\d.]+(?:e-?\d+)?/g).map(Number);
    const scale = color.startsWith("color(") ? 1 : 255;
    return { rgb: [red / scale, green / scale, blue / scale], alpha };
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backgroundOf = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const { rgb, alpha } = channels(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [1, 1, 1];
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };

  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "");
    if (!hasText || !element.checkVisibility() || element.closest(":disabled, .unseen, optgroup, option")) continue;
    const ratio = contrast(channels(getComputedStyle(element).color).rgb, backgroundOf(element));
    checked.texts++;
    if (ratio < 4.5) faults.push(`${element.textContent.slice(0, 40)}: contrast ${ratio.toFixed(2)}`);
  }

  for (const element of document.querySelectorAll("button, input, select, [role=textbox], [tabindex='0']")) {
    if (!element.checkVisibility()) continue;
    checked.controls++;
    const label =
      element.labels?.[0]?.textContent ?? document.getElementById(element.getAttribute("aria-labelledby"))?.textContent;
    const name = element.getAttribute("aria-label") ?? label ?? element.textContent;
    if (name.trim() === "") faults.push(`${element.outerHTML.slice(0, 80)} has no name`);
  }

  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  if (new Set(ids).size !== ids.length) faults.push("an id is there twice");
  if (document.documentElement.lang === "") faults.push("the page has no language");
  if (document.querySelectorAll("h1").length !== 1 || !document.querySelector("main")) faults.push("no h1 or main");
  if (document.querySelectorAll("#table th[scope]").length < 6) faults.push("the table's headers have no scope");
  return { checked, faults };
}
