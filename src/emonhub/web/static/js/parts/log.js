// Log: the newest lines, filtered, followed; how much each interfacer tells, changed at once.

import { get, put } from "../lib/api.js";
import { h, show, showItems } from "../lib/dom.js";
import { clock, count, many } from "../lib/format.js";
import { store } from "../lib/store.js";
import { attempt, field, toast } from "../lib/ui.js";

export const topics = ["log"];

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
const TONES = { WARNING: "warn", ERROR: "bad", CRITICAL: "bad", DEBUG: "idle", INFO: null };
const KEPT = 2000;
const SHOWN = 500;

export function enter(root, page) {
  let lines = [];
  const fields = {
    level: h("select", { id: "log-level" }, LEVELS.slice(0, 4).map((level) => h("option", { value: level }, level === "DEBUG" ? "all" : `${level.toLowerCase()} and worse`))),
    of: h("select", { id: "log-of" }),
    text: h("input", { id: "log-text", type: "search", autocomplete: "off", placeholder: "in the text" }),
  };
  const follow = h("input", { id: "log-follow", type: "checkbox", checked: true });
  const status = h("p", { class: "hint", role: "status" });
  const list = h("ol", { class: "log card", tabindex: "0", "aria-label": "Log, newest last" });
  const levels = h("div", { class: "levels" });
  root.append(
    h("div", { class: "part-head" }, h("div", null, h("h1", null, "Log"), status)),
    h("div", { class: "toolbar", role: "search" }, field("log-level", "Level", fields.level), field("log-of", "Interfacer", fields.of), field("log-text", "Text", fields.text),
      h("label", { class: "check" }, follow, "follow")),
    list,
    h("details", { class: "card pad" }, h("summary", null, "How much each tells"), h("p", { class: "hint" }, "Taken over at once, and in force until the next change of the configuration."), levels));

  const draw = () => {
    const least = LEVELS.indexOf(fields.level.value);
    const of = fields.of.value;
    const text = fields.text.value.trim().toLowerCase();
    const found = lines.filter((line) => LEVELS.indexOf(line.level) >= least && (!of || (of === "hub" ? !line.interfacer : line.interfacer === of.slice(2)))
      && (!text || line.text.toLowerCase().includes(text)));
    status.textContent = `${many(found.length, "line")} of the last ${count(lines.length)}`;
    if (found.length) showItems(list, found.slice(-SHOWN), row);
    else list.replaceChildren(h("li", { class: "bare" }, lines.length ? "No line matches." : "Nothing has been logged yet."));
    if (follow.checked) list.scrollTop = list.scrollHeight;
  };
  const add = (news) => {
    for (const line of news) if (line.text !== undefined) lines.push(line);
    if (lines.length > KEPT) lines = lines.slice(-KEPT);
    draw();
  };
  const options = () => {
    const names = (store.overview?.interfacers || []).map((itf) => itf.name);
    const wanted = ["", "hub", ...names.map((name) => `i:${name}`)];
    if (wanted.length === fields.of.options.length && wanted.every((value, i) => fields.of.options[i].value === value)) return;
    const now = fields.of.value;
    fields.of.replaceChildren(...wanted.map((value) => h("option", { value }, value === "" ? "all" : value === "hub" ? "the hub itself" : value.slice(2))));
    fields.of.value = wanted.includes(now) ? now : "";
    show(levels, [["", "the hub itself"], ...names.map((name) => [name, name])].map(([name, words]) => levelOf(name, words)));
  };
  for (const one of Object.values(fields)) one.addEventListener("input", draw);
  follow.addEventListener("change", draw);
  list.addEventListener("wheel", (event) => event.deltaY < 0 && (follow.checked = false), { passive: true });
  levels.addEventListener("change", (event) => attempt(null, async () => {
    const { name } = event.target.dataset;
    await put("/loglevel", { interfacer: name, level: event.target.value });
    toast(`${name || "the hub"} tells ${event.target.value ? event.target.value.toLowerCase() : "as configured"} from now on`);
  }));
  const early = [];
  let loaded = false;
  page.on("log", (news) => (loaded ? add(news) : early.push(...news)));
  page.on("overview", options);
  get("/log").then((old) => {
    loaded = true;
    const last = old.at(-1);
    add([...old, ...early.filter((line) => !last || line.time > last.time)]);
  }, () => (loaded = true));
  options();
  return {
    route: (to) => {
      options();
      if (to.query.has("of")) fields.of.value = `i:${to.query.get("of")}`;
      draw();
    },
  };
}

function row(line) {
  return h("li", { "data-level": TONES[line.level] },
    h("span", { class: "log-time mono" }, clock(line.time)), h("span", { class: "log-level" }, line.level), h("span", { class: "log-of" }, line.interfacer || "hub"),
    h("span", { class: "log-text" }, line.text));
}

function levelOf(name, words) {
  const id = `level-${encodeURIComponent(name)}`;
  return field(id, words,
    h("select", { id, "data-name": name }, h("option", { value: "" }, "as configured"), LEVELS.map((level) => h("option", { value: level }, level))));
}
