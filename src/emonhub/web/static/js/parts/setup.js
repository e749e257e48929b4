// Setup: emonhub.conf as a text, as forms, and as it was; one draft, checked as it changes, saved after a look at it.

import { h, icon, onActions, show } from "../lib/dom.js";
import { changes, diff, diffView } from "../lib/diff.js";
import { draft } from "../lib/draft.js";
import { Editor } from "../lib/editor.js";
import { ended, many, sentence } from "../lib/format.js";
import { attempt, confirmed, dialog, failure, toast } from "../lib/ui.js";
import { forms } from "./forms.js";
import { versions } from "./versions.js";

const TABS = [["file", "File", "#/setup"], ["forms", "Forms", "#/setup/forms"], ["versions", "Versions", "#/setup/versions"]];

export function enter(root, page) {
  const hint = h("p", { class: "hint" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Setup" });
  const body = h("div", { class: "setup-body" });
  const bar = h("div", { class: "savebar card", role: "region", "aria-label": "Changes that are not saved" });
  root.append(h("div", { class: "part-head" }, h("div", null, h("h1", null, "Setup"), hint)), tabs, body, bar);
  let shown = null; // {tab, update(to)}
  let to = null;

  const views = {
    file: () => fileView(body),
    forms: () => forms(body),
    versions: () => versions(body),
  };
  const place = () => {
    if (!draft.loaded || !to) return;
    const tab = to.args[0] in views ? to.args[0] : "file";
    show(tabs, TABS.map(([name, text, href]) => h("a", { href, "aria-current": name === tab ? "page" : null }, text)));
    if (shown?.tab !== tab) {
      body.replaceChildren();
      shown = { tab, ...views[tab]() };
    }
    shown.update(to);
  };
  const refresh = () => {
    if (!draft.loaded) return;
    hint.textContent = draft.file + (draft.writable ? "" : `: ${draft.whyNot || "the hub can't write it"}`);
    showBar(bar);
    shown?.update(null);
  };
  draft.addEventListener("change", refresh);
  onActions(bar, {
    save: (button) => attempt(button, save),
    difference: () => showDifference("What is changed", draft.base, draft.text),
    discard: async () => {
      if (await confirmed("Discard the changes?", "The text becomes again what is in the file.", "Discard")) draft.discard();
    },
  });
  draft.load().then(() => {
    place();
    refresh();
  }, (error) => show(body, failure(error)));
  return {
    route: (now) => {
      to = now;
      place();
    },
    leave: () => draft.removeEventListener("change", refresh),
  };
}

function showBar(bar) {
  bar.hidden = !draft.changed;
  if (!draft.changed) return;
  const { added, removed } = changes(diff(draft.base, draft.text));
  const errors = draft.problems.filter((problem) => problem.severity === "error").length;
  const level = draft.checking ? "busy" : errors ? "bad" : "ok";
  const words = draft.checking ? "Checking…" : errors ? many(errors, "error") : "No errors";
  show(bar,
    h("p", null, h("strong", null, "Not saved"), ` +${added} −${removed} lines`),
    h("span", { class: "badge", "data-level": level, role: "status" }, icon(level), words),
    h("span", { class: "spacer" }),
    h("button", { type: "button", "data-act": "discard", class: "quiet" }, "Discard"),
    h("button", { type: "button", "data-act": "difference" }, "Difference"),
    h("button", { type: "button", "data-act": "save", class: "primary", disabled: !draft.writable }, "Save…"));
}

async function showDifference(title, before, after) {
  await dialog(title, diffView(diff(before, after)), [{ label: "Close", value: "" }]);
}

async function save() {
  const errors = draft.problems.filter((problem) => problem.severity === "error");
  const chosen = await dialog("Save this?", [
    diffView(diff(draft.base, draft.text)),
    errors.length ? h("div", { class: "notice", "data-level": "bad" }, icon("bad"),
      h("div", null, h("p", null, `${many(errors.length, "error")}. What ${errors.length === 1 ? "it concerns does" : "they concern does"} not run until it is mended.`),
        h("ul", null, errors.slice(0, 5).map((problem) => h("li", null, problem.text || problem.message))))) : null,
  ], [
    { label: "Keep editing", value: "" },
    errors.length ? { label: "Save all the same", value: "save", danger: true } : { label: "Save", value: "save", primary: true },
  ]);
  if (chosen !== "save") return;
  try {
    await draft.save();
    toast("saved: the hub takes it over now");
  } catch (error) {
    if (error.status === 409) return conflict();
    if (error.status !== 422) throw error;
    draft.problems = error.body.problems || draft.problems;
    draft.good = false;
    draft.tell();
    toast(`refused: ${error.message}`, "bad");
  }
}

async function conflict() {
  const mine = draft.text;
  await draft.load(true);
  const theirs = draft.text;
  const chosen = await dialog("The file was changed meanwhile", [
    h("p", null, "Somebody else, or an editor on the hub, has saved another text since you began. From theirs to yours:"),
    diffView(diff(theirs, mine)),
  ], [{ label: "Take theirs, drop mine", value: "theirs" }, { label: "Go on with mine", value: "mine", primary: true }]);
  if (chosen !== "theirs") draft.edit(mine);
}

function fileView(body) {
  const editor = new Editor((text) => draft.edit(text));
  const problems = h("section", { class: "problems", "aria-labelledby": "problems-title" });
  body.append(h("div", { class: "file-view" }, editor.element, problems));
  onActions(problems, { jump: (button) => editor.jump(Number(button.dataset.line)) });
  editor.area.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      if (draft.changed && draft.writable) attempt(null, save);
    }
  });
  return {
    update: (to) => {
      editor.text = draft.text;
      editor.area.readOnly = !draft.writable;
      editor.mark(draft.problems);
      show(problems, problemList());
      const line = Number(to?.query.get("line"));
      if (line) editor.jump(line);
    },
  };
}

/** The key, with its value, that a problem's message goes on from. */
function subject(problem) {
  const name = problem.where.at(-1);
  return name ? [h("code", null, problem.value ? `${name} = ${problem.value}` : name), " "] : null;
}

function problemList() {
  const list = draft.problems;
  const errors = list.filter((problem) => problem.severity === "error").length;
  const rest = list.length - errors;
  const said = draft.checking ? "Checking…" : list.length ? [errors && many(errors, "error"), rest && many(rest, "warning")].filter(Boolean).join(", ") : "No problems";
  return [
    h("h2", { id: "problems-title" }, h("span", { role: "status" }, said)),
    list.length ? null : h("p", { class: "hint" }, "The text is checked as you type. Problems are listed here, with their line."),
    h("ul", null, list.map((problem) => h("li", { "data-level": problem.severity === "error" ? "bad" : "warn" },
      h("button", { type: "button", class: "problem", "data-act": "jump", "data-line": problem.line || 1 },
        icon(problem.severity === "error" ? "bad" : "warn"),
        h("span", null, h("span", { class: "problem-where" }, [problem.line ? `Line ${problem.line}` : "The file", ...problem.where.slice(1, 2)].join(" · ")),
          h("span", { class: "problem-message" }, subject(problem), problem.where.length ? ended(problem.message) : sentence(problem.message))))))),
  ];
}
