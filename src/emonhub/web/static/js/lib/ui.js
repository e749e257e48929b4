// Small pieces that several parts use: states, messages, dialogs, copying.

import { h, icon } from "./dom.js";
import { sentence } from "./format.js";

/** A state with its sign and its word: never by colour alone. */
export function badge(level, word) {
  return h("span", { class: "badge", "data-level": level }, icon(level), word);
}

/** An input with its label. */
export function field(id, text, input) {
  return h("div", { class: "field" }, h("label", { for: id }, text), input);
}

/** A short message at the edge of the page. */
export function toast(text, level = "ok") {
  const box = document.getElementById("toasts");
  const line = h("div", { class: "toast", "data-level": level }, icon(level), h("span", null, sentence(text)));
  box.append(line);
  setTimeout(() => line.remove(), level === "ok" ? 4000 : 9000);
}

/** Run something asynchronous for a button; what goes wrong is told in a toast. Returns its result or undefined. */
export async function attempt(button, act) {
  if (button) button.disabled = true;
  try {
    return await act();
  } catch (error) {
    toast(error.missing ? "this hub does not offer that" : error.message, "bad");
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** A modal dialog. `buttons` are [{label, value, primary, danger}]; resolves with the chosen value, null when closed. */
export function dialog(title, content, buttons) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: "dialog-title" }, title);
    const row = h("div", { class: "row end" }, buttons.map((button) =>
      h("button", {
        type: "button",
        class: button.primary ? "primary" : button.danger ? "danger" : null,
        onclick: () => box.close(button.value),
      }, button.label)));
    const box = h("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
      h("div", { class: "dialog-head" }, heading,
        h("button", { type: "button", class: "quiet icon-only", "aria-label": "Close", onclick: () => box.close("") }, icon("close"))),
      h("div", { class: "dialog-body" }, content), row);
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue || null);
    });
    document.body.append(box);
    box.showModal();
  });
}

/** Ask before something that can't be undone. */
export async function confirmed(title, text, label) {
  const chosen = await dialog(title, h("p", null, text), [
    { label: "Cancel", value: "" },
    { label, value: "yes", danger: true },
  ]);
  return chosen === "yes";
}

/** Put a text on the clipboard, also where the page came over plain HTTP. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "offscreen", "aria-hidden": "true", tabindex: "-1" });
    area.value = text;
    (document.querySelector("dialog[open]") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast("copied");
}

/** What a part shows where there is nothing to show, and what to do about it. */
export function empty(title, ...text) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text.length ? h("p", null, text) : null);
}

/** What a part shows when its request fails. */
export function failure(error) {
  return error.missing
    ? empty("This hub does not offer this", "It is older than this page: update the hub, then reload.")
    : empty("This can't be shown now", sentence(error.message));
}

/** A choice that the browser remembers. */
export function remembered(key, fallback) {
  try {
    return JSON.parse(localStorage.getItem(`emonhub.${key}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Remember it. */
export function remember(key, value) {
  try {
    localStorage.setItem(`emonhub.${key}`, JSON.stringify(value));
  } catch {
    // storage is full or closed: the choice lasts until the page is closed
  }
}
