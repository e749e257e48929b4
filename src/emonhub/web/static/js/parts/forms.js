// A form for each interfacer, made from what its type declares. Its values go into the draft of the file.

import { get } from "../lib/api.js";
import { interfacers } from "../lib/conf.js";
import { h, onActions, show } from "../lib/dom.js";
import { draft } from "../lib/draft.js";
import { many, sentence } from "../lib/format.js";
import { attempt, dialog, empty, failure, field, toast } from "../lib/ui.js";

let types = null;

export function forms(body) {
  const side = h("nav", { class: "form-list", "aria-label": "Interfacers" });
  const form = h("form", { class: "card form", novalidate: true });
  body.append(h("div", { class: "forms-view" }, side, form));
  let name = "";
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => {
    const input = event.target;
    if (!input.name) return;
    const value = input.value.trim();
    attempt(null, () => draft.set(name, { [input.name]: value === "" ? null : value }));
  });
  onActions(side, { add: () => attempt(null, add) });

  const draw = () => {
    const all = interfacers(draft.text);
    const known = all.find((itf) => itf.name === name) || all[0];
    name = known?.name || "";
    show(side, all.map((itf) => h("a", { href: `#/setup/forms/${encodeURIComponent(itf.name)}`, "aria-current": itf.name === name ? "true" : null },
      h("span", null, itf.name), faults(itf.name).length ? h("span", { class: "badge", "data-level": worst(itf.name) }, faults(itf.name).length, h("span", { class: "sr" }, " problems")) : null)),
    h("button", { type: "button", "data-act": "add", disabled: !draft.writable || !types }, "Add an interfacer"));
    if (!types) return;
    if (!known) return show(form, empty("No interfacer yet", "Add the first one: it reads a device or sends somewhere."));
    show(form, fields(known));
  };
  const update = (to) => {
    if (to) name = to.args[1] || name;
    draw();
  };
  if (!types) {
    get("/types").then((said) => {
      types = said;
      draw();
    }, (error) => show(form, failure(error)));
  }
  return { update };
}

const faults = (name) => draft.problems.filter((problem) => problem.where[0] === "interfacers" && problem.where[1] === name);
/** What a type is, in one sentence. */
const firstLine = (type) => sentence((type?.doc || "").split("\n")[0].replaceAll("`", ""));
const toneOf = (problem) => (problem.severity === "error" ? "bad" : "warn");
const worst = (name) => (faults(name).some((problem) => problem.severity === "error") ? "bad" : "warn");

function fields(itf) {
  const type = types.find((one) => one.type === itf.type);
  const head = [
    h("header", null, h("h2", null, itf.name), h("a", { href: `#/setup?line=${itf.line}` }, `Line ${itf.line} of the file`)),
    h("p", { class: "hint" }, `${itf.type}${type?.doc && !type.problem ? `: ${firstLine(type)}` : ""}`),
  ];
  if (!type) return [head, h("p", { class: "problem-text" }, `This hub has no type ${itf.type}.`)];
  if (type.problem) return [head, h("p", { class: "problem-text" }, sentence(type.problem))];
  const set = type.settings.filter((one) => one.name in itf.settings || mine(itf.name, one.name).length);
  const rest = type.settings.filter((one) => !set.includes(one));
  const strays = faults(itf.name).filter((problem) => !type.settings.some((one) => concerns(problem, one.name)));
  return [
    head,
    strays.map((problem) => h("p", { class: "problem-text", "data-level": toneOf(problem) }, `Line ${problem.line}: ${sentence(problem.message)}`)),
    h("fieldset", { "data-key": `${itf.name} set` }, h("legend", null, "Set in the file"), set.length ? h("div", { class: "grid" }, set.map((one) => settingField(itf, one))) : h("p", { class: "hint" }, "Nothing: all is at its default.")),
    h("details", { "data-key": `${itf.name} rest` }, h("summary", null, `${many(rest.length, "more setting")} at their defaults`), h("div", { class: "grid" }, rest.map((one) => settingField(itf, one)))),
  ];
}

const concerns = (problem, setting) => problem.where.at(-1) === setting;
const mine = (name, setting) => faults(name).filter((problem) => concerns(problem, setting));

function settingField(itf, one) {
  const id = `set-${one.name}`;
  const now = (itf.settings[one.name] ?? "").replace(one.kind === "list" ? /,\s*$/ : "", "");
  const problem = mine(itf.name, one.name)[0];
  const fallback = one.kind === "switch" ? (one.default === "1" ? "on" : "off") : one.default;
  const described = { "aria-describedby": `${id}-help`, "aria-invalid": problem?.severity === "error" ? "true" : null, disabled: !draft.writable };
  const options = optionsOf(one, now);
  const input = options
    ? h("select", { id, name: one.name, ...described }, h("option", { value: "", selected: now === "" }, `default${fallback ? ` (${fallback})` : ""}`),
      options.map(([value, label]) => h("option", { value, selected: value === now }, label)))
    : h("input", { id, name: one.name, value: now, type: one.secret ? "password" : "text", placeholder: fallback, autocomplete: "off", spellcheck: "false", ...described });
  if (options) input.value = now;
  return h("div", { class: "field", "data-key": one.name },
    h("label", { for: id }, one.name, one.unit ? h("span", { class: "hint" }, ` in ${one.unit}`) : null),
    input,
    h("p", { class: "hint", id: `${id}-help` }, sentence(one.help), one.rule && one.rule !== "a text" && !options ? ` ${sentence(`Must be ${one.rule}`)}` : ""),
    problem ? h("p", { class: "problem-text", role: "alert", "data-level": toneOf(problem) }, sentence(problem.message)) : null);
}

function optionsOf(one, now) {
  let options = null;
  if (one.choices?.length) options = one.choices.map((choice) => [String(choice), String(choice)]);
  else if (one.kind === "switch") options = [["1", "on"], ["0", "off"]];
  if (options && now !== "" && !options.some(([value]) => value === now)) options.push([now, now]);
  return options;
}

async function add() {
  const group = (kind, words) => h("optgroup", { label: words }, types.filter((one) => one.kind === kind).map((one) => h("option", { value: one.type }, one.type)));
  const type = h("select", { id: "new-type" }, group("interfacer", "Interfacers"), group("reporter", "Reporters, which owe delivery"));
  const name = h("input", { id: "new-name", autocomplete: "off" });
  const doc = h("p", { class: "hint" });
  const tell = () => {
    doc.textContent = firstLine(types.find((one) => one.type === type.value));
    if (!name.dataset.typed) name.value = type.value.replace(/^EmonHub/, "").replace(/(Interfacer|Reporter)$/, "");
  };
  type.addEventListener("change", tell);
  name.addEventListener("input", () => (name.dataset.typed = "1"));
  tell();
  const chosen = await dialog("Add an interfacer", [
    field("new-type", "Type", type), doc, field("new-name", "Name", name),
  ], [{ label: "Cancel", value: "" }, { label: "Add", value: "add", primary: true }]);
  const wanted = name.value.trim();
  if (chosen !== "add" || !wanted) return;
  if (interfacers(draft.text).some((itf) => itf.name === wanted)) return toast(`there is a ${wanted} already`, "bad");
  await draft.set(wanted, {}, type.value);
  location.hash = `#/setup/forms/${encodeURIComponent(wanted)}`;
}
