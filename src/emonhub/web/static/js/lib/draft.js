// The configuration as it is being edited: one draft for the editor and the forms, checked by the hub as it changes.

import { get, post, put } from "./api.js";
import { debounced } from "./dom.js";

const CHECK_MS = 350;

class Draft extends EventTarget {
  text = "";
  base = ""; // as it is in the file
  version = null;
  writable = false;
  whyNot = "";
  file = "";
  problems = [];
  good = true;
  checking = false;
  loaded = false;
  turn = 0;

  get changed() {
    return this.loaded && this.text !== this.base;
  }

  /** Fetch the file, unless there are edits of it here. */
  async load(anyway = false) {
    if (this.changed && !anyway) return;
    const said = await get("/configuration");
    Object.assign(this, { text: said.text, base: said.text, version: said.version, writable: said.writable, whyNot: said.why_not, file: said.file, problems: said.problems || [], loaded: true });
    this.good = !this.problems.some((problem) => problem.severity === "error");
    this.tell();
  }

  /** Another text, from the editor, a form, or an older version. */
  edit(text) {
    if (text === this.text) return;
    this.text = text;
    this.checking = true;
    this.turn += 1;
    this.tell();
    this.check();
  }

  check = debounced(async () => {
    const turn = this.turn;
    try {
      const said = await post("/configuration/check", { text: this.text });
      if (turn !== this.turn) return;
      Object.assign(this, { good: said.good, problems: said.problems });
    } catch (error) {
      if (turn !== this.turn) return;
      this.problems = [{ severity: "warning", line: 0, where: [], value: "", message: `not checked: ${error.message}`, text: `not checked: ${error.message}` }];
    }
    this.checking = false;
    this.tell();
  }, CHECK_MS);

  /** Values of a form, put into the text by the hub, which leaves all else as it is. */
  async set(interfacer, settings, type) {
    const said = await post("/configuration/edit", { text: this.text, interfacer, settings, ...(type ? { type } : {}) });
    this.edit(said.text);
  }

  /** Write it. Raises ApiError: 409 changed meanwhile, 422 can't be used. */
  async save() {
    const text = this.text;
    const said = await put("/configuration", { text, version: this.version });
    Object.assign(this, { base: text, version: said.version, problems: said.problems || [] });
    this.tell();
  }

  discard() {
    this.turn += 1;
    this.checking = false;
    this.text = this.base;
    this.tell();
    this.check();
  }

  tell() {
    this.dispatchEvent(new Event("change"));
  }
}

export const draft = new Draft();

addEventListener("beforeunload", (event) => {
  if (draft.changed) event.preventDefault();
});
