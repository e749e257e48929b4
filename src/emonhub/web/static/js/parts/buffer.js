// Buffer: what each reporter owes, its dead letters, its record, and replays of it.

import { address, get, post, q } from "../lib/api.js";
import { h, icon, onActions, s, show } from "../lib/dom.js";
import { ago, bytes, catchUp, clock, count, many, moment, rate, sentence, span, value } from "../lib/format.js";
import { stateOf } from "../lib/judge.js";
import { hubNow, rateOf, store } from "../lib/store.js";
import { attempt, badge, confirmed, empty, failure, field, toast } from "../lib/ui.js";
import { replays } from "./replays.js";

const PEEKED = 20;

export function enter(root, page) {
  let name = "";
  let section = "";
  const names = h("nav", { class: "tabs", "aria-label": "Reporters" });
  const head = h("section", { class: "card owed", "aria-label": "What it owes" });
  const peek = h("section", { "aria-labelledby": "peek-title" });
  const dead = h("section", { "aria-labelledby": "dead-title" });
  const out = h("section", { "aria-labelledby": "export-title" });
  const again = h("section", { "aria-labelledby": "replay-title" });
  const none = h("div");
  root.append(h("div", { class: "part-head" }, h("div", null, h("h1", null, "Buffer"), h("p", { class: "hint" }, "What is kept until it has arrived."))),
    none, names, head, peek, dead, out, again);
  const replay = replays(again, page);

  const reporters = () => (store.overview?.interfacers || []).filter((itf) => itf.reporter);
  const current = () => reporters().find((itf) => itf.name === name);
  let seen = "";

  const draw = () => {
    const all = reporters();
    if (!all.some((itf) => itf.name === name)) name = all[0]?.name || "";
    for (const part of [names, head, peek, dead, out, again]) part.hidden = !name;
    show(none, name ? null : empty("No reporter is set up", "A reporter keeps what it is given until its target has acknowledged it. ", h("a", { href: "#/setup/forms" }, "Add one in Setup"), "."));
    if (!name) return;
    show(names, all.map((itf) => h("a", { href: `#/buffer/${encodeURIComponent(itf.name)}`, "aria-current": itf.name === name ? "page" : null },
      itf.name, itf.reporter.owed ? h("small", null, ` ${count(itf.reporter.owed)}`) : null)));
    show(head, owed(current()));
    if (section !== name) {
      section = name;
      show(peek, h("h2", { id: "peek-title" }, "Waiting"));
      show(dead, h("h2", { id: "dead-title" }, "Dead letters"));
      out.replaceChildren(exporting(name));
      replay.of(name, all.map((itf) => itf.name));
      seen = "";
    }
    const { owed: frames, acknowledged, dead: letters } = current().reporter;
    const now = `${name} ${frames} ${acknowledged}`;
    if (now !== seen) lookInside(letters);
    seen = now;
  };

  const lookInside = async (letters) => {
    const mine = name;
    const [waiting, buried] = await Promise.allSettled([get(`/reporters/${q(mine)}/peek?n=${PEEKED}`), get(`/reporters/${q(mine)}/deadletters`)]);
    if (mine !== name) return;
    show(peek, h("h2", { id: "peek-title" }, "Waiting"), waiting.status === "fulfilled" ? peeked(waiting.value, current()) : failure(waiting.reason));
    show(dead, deadHead(letters, buried.value), buried.status === "fulfilled" ? letterTable(buried.value) : failure(buried.reason));
  };

  page.on("overview", draw);
  page.every(1000, draw);
  const steer = (what, said) => (button) => attempt(button, async () => {
    await post(`/reporters/${q(name)}/${what}`);
    toast(said);
  });
  const letters = (what, ids) => async (button) => {
    const wanted = ids ? [Number(button.dataset.id)] : null;
    if (what === "drop" && !(await confirmed("Drop for good?", wanted ? "This dead letter is deleted." : "All dead letters of this reporter are deleted.", "Drop"))) return;
    await attempt(button, async () => {
      const said = await post(`/reporters/${q(name)}/deadletters/${what}`, { ids: wanted });
      toast(what === "retry" ? `${many(said.count, "frame")} put back to be sent` : `${many(said.count, "frame")} dropped`);
    });
    lookInside(current()?.reporter.dead || 0);
  };
  onActions(root, {
    pause: steer("pause", "paused: it keeps what it owes until you resume it"), resume: steer("resume", "it goes on"),
    retry: letters("retry", true), drop: letters("drop", true), "retry-all": letters("retry", false), "drop-all": letters("drop", false),
  });
  draw();
  return {
    route: (to) => {
      name = to.args[0] || name;
      draw();
    },
  };
}

function owed(itf) {
  const r = itf.reporter;
  const { level, word } = stateOf(itf);
  const trouble = r.trouble || r.buffer_trouble || (r.paused ? "" : r.held_up);
  return [
    h("header", null, h("p", { class: "big" }, count(r.owed), h("small", null, r.owed === 1 ? " frame owed" : " frames owed")), badge(level, word), h("span", { class: "spacer" }),
      r.can_pause ? h("button", { type: "button", "data-act": r.paused ? "resume" : "pause", class: r.paused ? "primary" : null }, r.paused ? "Resume" : "Pause")
        : h("span", { class: "hint" }, "It keeps nothing on disk, so it can't be paused.")),
    trail(itf.name),
    trouble ? h("p", { class: "problem-text" }, sentence(trouble === true ? "held up" : trouble)) : null,
    h("dl", { class: "facts wide" }, [
      ["Size", bytes(r.owed_bytes)],
      ["Oldest", r.oldest === null ? "–" : ago(hubNow() - r.oldest)],
      ["Caught up in", catchUp(r, hubNow())],
      ["Coming in", rate(rateOf(itf.name, "taken"))],
      ["Going out", rate(rateOf(itf.name, "acknowledged"))],
      ["Delivered", count(r.acknowledged)],
      ["Dropped", Object.entries(r.dropped).map(([why, n]) => `${count(n)} ${why}`).join(", ") || "none"],
      ["Dead letters", count(r.dead)],
    ].map(([term, text]) => h("div", null, h("dt", null, term), h("dd", null, text)))),
  ];
}

/** How much was owed in the last minutes, as this page has seen it. */
function trail(name) {
  const list = (store.samples.get(name) || []).filter((one) => one.owed !== undefined);
  if (list.length < 3) return null;
  const first = list[0].t;
  const length = Math.max(1, list.at(-1).t - first);
  const most = Math.max(1, ...list.map((one) => one.owed));
  const points = list.map((one) => `${(((one.t - first) / length) * 100).toFixed(2)},${(36 - (one.owed / most) * 32).toFixed(2)}`).join(" ");
  return h("figure", { class: "trail" },
    s("svg", { viewBox: "0 0 100 38", preserveAspectRatio: "none", role: "img", "aria-label": `Owed in the last ${span(length)}: at most ${count(most)}, now ${count(list.at(-1).owed)}` },
      s("polygon", { points: `0,38 ${points} 100,38` }), s("polyline", { points })),
    h("figcaption", null, `owed in the last ${span(length)}, at most ${count(most)}`));
}

function peeked(frames, itf) {
  if (!frames.length) return empty("Nothing is waiting", itf?.reporter.acknowledged ? "All that came has been delivered." : "Frames show up here between their arrival and their delivery.");
  return [
    h("p", { class: "hint" }, `The oldest ${count(frames.length)}, which go first.`),
    h("div", { class: "card scroll", tabindex: "0", role: "group", "aria-label": "Waiting frames" }, h("table", null,
      h("thead", null, h("tr", null, ["Time", "Node", "Values", "As it is sent"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, frames.map((frame) => h("tr", null,
        h("td", { class: "mono nowrap" }, clock(frame.time, true)), h("td", { class: "nowrap" }, frame.name || frame.node),
        h("td", null, (frame.values || []).map(([n, v, unit]) => h("span", { class: "pair" }, h("span", null, n), ` ${value(v)}${unit ? ` ${unit}` : ""}`))),
        recordCell(frame.record)))))),
  ];
}

/** A frame as it is sent: its beginning, the whole of it on pointing there. */
const recordCell = (record) => h("td", { class: "mono record", title: record }, h("span", null, record));

function deadHead(n, list) {
  const some = (list?.length ?? n) > 0;
  return h("div", { class: "row" }, h("h2", { id: "dead-title" }, "Dead letters"), h("span", { class: "spacer" }),
    some ? [h("button", { type: "button", "data-act": "retry-all" }, "Retry all"), h("button", { type: "button", "data-act": "drop-all", class: "danger" }, "Drop all")] : null);
}

function letterTable(list) {
  if (!list.length) return empty("No dead letters", "A frame that its target refuses for good comes here with the reason, and the others go on.");
  return h("div", { class: "card scroll", tabindex: "0", role: "group", "aria-label": "Dead letters" }, h("table", null,
    h("thead", null, h("tr", null, ["Time", "Refused because", "Frame", ""].map((text) => h("th", { scope: "col" }, text || h("span", { class: "sr" }, "Actions"))))),
    h("tbody", null, list.map((one) => h("tr", { "data-key": String(one.id) },
      h("td", { class: "mono nowrap" }, moment(one.time)), h("td", null, one.reason), recordCell(one.record),
      h("td", null, h("div", { class: "row end nowrap" },
        h("button", { type: "button", "data-act": "retry", "data-id": one.id, "aria-label": `Retry the frame of ${moment(one.time)}` }, "Retry"),
        h("button", { type: "button", "data-act": "drop", "data-id": one.id, class: "danger", "aria-label": `Drop the frame of ${moment(one.time)}` }, "Drop"))))))));
}

/** A form that downloads frames as CSV; the link follows the fields. */
function exporting(name) {
  const what = h("select", { id: "export-what" }, [["owed", "what it owes"], ["delivered", "what was delivered and is kept"], ["all", "both"]].map(([v, text]) => h("option", { value: v }, text)));
  const from = h("input", { id: "export-from", type: "datetime-local", step: "1" });
  const to = h("input", { id: "export-to", type: "datetime-local", step: "1" });
  const node = h("input", { id: "export-node", size: 8, placeholder: "all", autocomplete: "off" });
  const link = h("a", { class: "button", download: "" }, icon("buffer"), "Download CSV");
  const follow = () => {
    const query = new URLSearchParams({ what: what.value });
    for (const [key, field] of [["from", from], ["to", to]]) if (field.value) query.set(key, String(new Date(field.value).getTime() / 1000));
    if (node.value.trim()) query.set("node", node.value.trim());
    link.href = address(`/reporters/${q(name)}/export?${query}`);
  };
  follow();
  const kept = h("p", { class: "hint" });
  get(`/reporters/${q(name)}/record`).then((record) => {
    kept.textContent = record.frames ? `Kept after delivery: ${many(record.frames, "frame")}, ${bytes(record.bytes)}, from ${moment(record.from)} to ${moment(record.to)}.` : "";
  }, () => (kept.textContent = ""));
  const form = h("div", { class: "toolbar card pad", oninput: follow },
    field("export-what", "What", what), field("export-from", "From", from), field("export-to", "Until", to), field("export-node", "Node", node), link);
  const box = document.createDocumentFragment();
  box.append(h("h2", { id: "export-title" }, "Export"), kept, form);
  return box;
}
