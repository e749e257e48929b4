// A text editor for emonhub.conf: a textarea with line numbers, colours, and marks at the lines that have a problem.

import { kindOf } from "./conf.js";
import { h } from "./dom.js";

export class Editor {
  /** `changed(text)` is called at each edit by the user. */
  constructor(changed) {
    this.lines = [];
    this.gutter = h("div", { class: "gutter mono", "aria-hidden": "true" });
    this.back = h("pre", { class: "back", "aria-hidden": "true" });
    this.area = h("textarea", { class: "mono", spellcheck: "false", autocapitalize: "off", autocomplete: "off", autocorrect: "off", wrap: "off",
      "aria-label": "emonhub.conf", "aria-describedby": "problems-title", rows: 20 });
    this.element = h("div", { class: "editor card" }, this.gutter, h("div", { class: "sheet" }, this.back, this.area));
    this.area.addEventListener("input", () => {
      this.paint();
      changed(this.area.value);
    });
    this.area.addEventListener("scroll", () => this.follow());
  }

  get text() {
    return this.area.value;
  }

  set text(text) {
    if (text === this.area.value) return;
    const { scrollTop, scrollLeft } = this.area;
    this.area.value = text;
    this.area.scrollTop = scrollTop;
    this.area.scrollLeft = scrollLeft;
    this.paint();
  }

  /** Colour the lines that changed. */
  paint() {
    const lines = this.area.value.split("\n");
    while (this.back.children.length > lines.length) {
      this.back.lastChild.remove();
      this.gutter.lastChild.remove();
    }
    lines.forEach((line, i) => {
      if (i >= this.back.children.length) {
        this.back.append(h("div"));
        this.gutter.append(h("div", null, i + 1));
        this.lines[i] = undefined;
      }
      if (this.lines[i] === line) return;
      const kind = kindOf(line);
      const row = this.back.children[i];
      row.dataset.kind = kind;
      const at = kind === "key" ? line.indexOf("=") : -1;
      row.replaceChildren(...(at < 0 ? [line || " "] : [h("span", { class: "key" }, line.slice(0, at)), line.slice(at)]));
    });
    this.lines = lines;
    this.follow();
  }

  follow() {
    this.gutter.scrollTop = this.area.scrollTop;
    this.back.scrollTop = this.area.scrollTop;
    this.back.scrollLeft = this.area.scrollLeft;
  }

  /** Mark the lines of problems: [{line, severity, message}]. */
  mark(problems) {
    const worst = new Map();
    for (const problem of problems) {
      if (problem.line && worst.get(problem.line) !== "error") worst.set(problem.line, problem.severity);
    }
    for (let i = 0; i < this.gutter.children.length; i++) {
      const severity = worst.get(i + 1);
      for (const row of [this.gutter.children[i], this.back.children[i]]) {
        if (severity) row.dataset.severity = severity;
        else delete row.dataset.severity;
      }
    }
    this.area.setAttribute("aria-invalid", String(problems.some((problem) => problem.severity === "error")));
  }

  /** Put the cursor on a line and show it. */
  jump(line) {
    const lines = this.area.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    this.area.focus();
    this.area.setSelectionRange(start, start + (lines[line - 1] || "").length);
    const height = this.back.firstChild?.getBoundingClientRect().height || 20;
    this.area.scrollTop = Math.max(0, (line - 1) * height - this.area.clientHeight / 3);
    this.follow();
  }
}
