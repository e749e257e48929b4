// Live tap: frames as they pass, from raw to where they went, and what could not be used.

import { h, icon, onActions, showItems } from "../lib/dom.js";
import { clock, count, many, value } from "../lib/format.js";
import { store } from "../lib/store.js";
import { badge, empty, field } from "../lib/ui.js";
import { showCase } from "../lib/testcase.js";

export const topics = ["tap"];

const KEPT = 1000;
const SHOWN = 200;

let events = []; // outlives leaving the part: newest first
let number = 0;

export function enter(root, page) {
  let paused = false;
  let waiting = 0;
  const fields = {
    of: select("tap-of", "Interfacer"),
    channel: select("tap-channel", "Channel"),
    node: h("input", { id: "tap-node", size: 10, placeholder: "id or name", autocomplete: "off" }),
    text: h("input", { id: "tap-text", type: "search", size: 14, placeholder: "in anything", autocomplete: "off" }),
    bad: h("input", { id: "tap-bad", type: "checkbox" }),
  };
  const pause = h("button", { type: "button", "data-act": "pause", "aria-pressed": "false" }, "Pause");
  const copyAll = h("button", { type: "button", "data-act": "all" }, icon("copy"), "Shown as test case");
  const status = h("p", { class: "hint", role: "status" });
  const list = h("ol", { class: "tap", "aria-label": "Frames, newest first" });
  root.append(
    h("div", { class: "part-head" }, h("div", null, h("h1", null, "Live tap"), status), h("div", { class: "row" }, pause, copyAll)),
    h("div", { class: "toolbar", role: "search" },
      field("tap-of", "Interfacer", fields.of), field("tap-channel", "Channel", fields.channel), field("tap-node", "Node", fields.node),
      field("tap-text", "Text", fields.text), h("label", { class: "check" }, fields.bad, "only what could not be used")),
    list);

  const matches = () => {
    const of = fields.of.value;
    const channel = fields.channel.value;
    const node = fields.node.value.trim().toLowerCase();
    const text = fields.text.value.trim().toLowerCase();
    return events.filter((e) => {
      if (e.event === "missed") return true;
      if (of && e.interfacer !== of) return false;
      if (channel && !(e.channels || []).includes(channel)) return false;
      if (fields.bad.checked && e.event !== "discarded") return false;
      if (node && e.node !== node && !(e.name || "").toLowerCase().includes(node)) return false;
      return !text || (e.all ??= haystack(e)).includes(text);
    });
  };

  const draw = () => {
    const found = matches();
    const told = `${many(found.filter((e) => e.event !== "missed").length, "frame")} of the last ${count(events.length)}`;
    status.textContent = paused ? `Paused, ${many(waiting, "frame")} came since` : events.length ? told : "";
    copyAll.disabled = !found.some((e) => e.event !== "missed" && e.raw);
    if (!events.length) return list.replaceChildren(h("li", { class: "bare" }, empty("Waiting for the next frame", "Everything that an interfacer reads shows up here, also what could not be used.")));
    if (!found.length) return list.replaceChildren(h("li", { class: "bare" }, empty("Nothing matches so far", "Frames that pass from now on are shown when they match.")));
    showItems(list, found.slice(0, SHOWN), row);
  };

  const options = () => {
    const overview = store.overview;
    if (!overview) return;
    setOptions(fields.of, "all", overview.interfacers.filter((itf) => itf.reads).map((itf) => itf.name));
    setOptions(fields.channel, "all", [...new Set(overview.interfacers.flatMap((itf) => itf.publishes))]);
  };

  const held = [];
  const take = (news) => {
    if (paused) {
      held.push(...news);
      if (held.length > KEPT) held.splice(0, held.length - KEPT);
      waiting += news.length;
    } else {
      for (const e of news) {
        e.number = ++number;
        events.unshift(e);
      }
      events.length = Math.min(events.length, KEPT);
    }
    draw();
  };
  page.on("tap", take);
  page.on("overview", options);
  for (const one of Object.values(fields)) one.addEventListener("input", draw);
  onActions(root, {
    pause: () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on" : "Pause";
      waiting = 0;
      take(paused ? [] : held.splice(0));
    },
    all: () => showCase(matches().slice(0, SHOWN).filter((e) => e.event !== "missed").reverse()),
    copy: (button) => showCase(events.filter((e) => String(e.number) === button.dataset.number)),
  });
  options();
  draw();
  return {
    route: (to) => {
      if (to.query.has("of")) {
        options();
        fields.of.value = to.query.get("of");
      }
      if (to.query.has("node")) fields.node.value = to.query.get("node");
      draw();
    },
  };
}

const select = (id) => h("select", { id }, h("option", { value: "" }, "all"));

function setOptions(element, all, names) {
  const now = element.value;
  if (element.options.length === names.length + 1 && names.every((name, i) => element.options[i + 1].value === name)) return;
  element.replaceChildren(h("option", { value: "" }, all), ...names.map((name) => h("option", { value: name }, name)));
  element.value = names.includes(now) ? now : "";
}

function haystack(e) {
  const values = (e.values || []).map(([name, v]) => `${name} ${v}`).join(" ");
  return `${e.interfacer} ${e.node ?? ""} ${e.name ?? ""} ${e.raw} ${values} ${e.reason ?? ""} ${e.detail ?? ""} ${(e.to || []).join(" ")}`.toLowerCase();
}

function row(e) {
  if (e.event === "missed") {
    return h("li", { class: "tap-missed" }, `${many(e.count, "frame")} passed too fast to be shown`);
  }
  const bad = e.event === "discarded";
  return h("li", { class: `tap-row${bad ? " tap-bad" : ""}`, "data-level": bad ? "bad" : null },
    h("span", { class: "tap-time mono" }, clock(e.time, true)),
    h("span", { class: "tap-of" }, e.interfacer),
    h("span", { class: "tap-node" }, bad ? badge("bad", e.reason) : [h("strong", null, e.name && e.name !== e.node ? e.name : `node ${e.node}`), e.rssi ? h("small", null, ` ${value(e.rssi)} dBm`) : null]),
    h("code", { class: "tap-raw" }, e.raw || "(no raw form)"),
    h("span", { class: "tap-values" }, bad ? e.detail : e.values.map(([name, v, unit], i) =>
      h("span", { class: "pair" }, h("span", null, name || `#${i + 1}`), ` ${value(v)}${unit ? ` ${unit}` : ""}`))),
    h("span", { class: "tap-to" }, bad ? "went nowhere" : `${e.channels.join(", ") || "no channel"} → ${e.to.join(", ") || "nobody"}`),
    h("button", { type: "button", class: "quiet icon-only", "data-act": "copy", "data-number": e.number, title: "As a test case", "aria-label": `Frame of ${clock(e.time, true)} as a test case` }, icon("copy")));
}
