// Creates elements.

export const $ = (id) => document.getElementById(id);

/** An element with properties (or attributes, where it has no such property) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text only if it differs, so that a selection is kept. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Formats a number with thin spaces between groups of three digits: 10 000. */
export const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** Enables or disables a button. If it loses the focus, `instead` gets it. */
export function enable(button, isEnabled, instead) {
  if (!isEnabled && document.activeElement === button) instead?.focus();
  button.disabled = !isEnabled;
}
