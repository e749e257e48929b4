// Overview: is everything well, the wiring, a card for each interfacer and reporter.

import { post, q } from "../lib/api.js";
import { h, icon, onActions, show } from "../lib/dom.js";
import { ago, bytes, catchUp, count, many, moment, rate, sentence } from "../lib/format.js";
import { judge, stateOf } from "../lib/judge.js";
import { hubNow, nodeList, rateOf, store } from "../lib/store.js";
import { attempt, badge, empty, toast } from "../lib/ui.js";
import { wiring } from "../lib/wiring.js";

export function enter(root, page) {
  const verdict = h("section", { class: "verdict", "aria-label": "Is everything well?" });
  const picture = h("div", { class: "picture" });
  const cards = h("div", { class: "cards" });
  const pictureBox = h("section", { "aria-labelledby": "wiring-title" }, h("h2", { id: "wiring-title" }, "Wiring"), picture);
  const cardsBox = h("section", { "aria-labelledby": "all-title" }, h("h2", { id: "all-title" }, "Interfacers and reporters"), cards);
  root.append(verdict, pictureBox, cardsBox);

  const draw = () => {
    const overview = store.overview;
    if (!overview) return show(verdict, empty("The hub does not answer", "This page tries again every few seconds."));
    show(verdict, verdictOf(overview));
    const none = !overview.interfacers.length;
    pictureBox.hidden = none;
    if (!none) show(picture, wiring(overview.interfacers, Math.max(280, picture.clientWidth)));
    show(cards, none ? nothing() : overview.interfacers.map(card));
  };
  page.on("overview", draw);
  page.on("nodes", () => store.overview && show(verdict, verdictOf(store.overview)));
  page.every(1000, draw);
  const watch = new ResizeObserver(draw);
  watch.observe(picture);
  onActions(root, { pause: (button) => steer(button, "pause"), resume: (button) => steer(button, "resume") });
  draw();
  return {
    leave: () => watch.disconnect(),
    route: (to) => {
      const wanted = to.args[0] && document.getElementById(cardId(to.args[0]));
      if (!wanted) return;
      wanted.scrollIntoView({ block: "center" });
      wanted.focus({ preventScroll: true });
    },
  };
}

async function steer(button, what) {
  const name = button.dataset.of;
  await attempt(button, async () => {
    await post(`/reporters/${q(name)}/${what}`);
    toast(what === "pause" ? `${name} is paused: it keeps what it owes` : `${name} goes on`);
  });
}

function nothing() {
  return empty("No interfacer is set up yet", "An interfacer reads a device or sends somewhere. ",
    h("a", { href: "#/setup/forms" }, "Add the first one in Setup"), ".");
}

function verdictOf(overview) {
  const said = judge();
  const rows = said.reasons.map((reason) =>
    h("li", { "data-level": reason.level }, icon(reason.level), h("span", null, reason.text), h("a", { href: reason.href }, reason.label)));
  return [
    h("div", { class: "verdict-head", "data-level": said.level }, icon(said.level), h("h1", null, said.title + (said.level === "ok" ? "." : ""))),
    h("p", { class: "verdict-facts" }, factsOf(overview)),
    rows.length ? h("ul", { class: "reasons" }, rows) : null,
  ];
}

function factsOf(overview) {
  const nodes = nodeList();
  const heard = nodes.filter((node) => !node.stale).length;
  const reading = overview.interfacers.filter((itf) => itf.publishes.length);
  const perSecond = reading.map((itf) => rateOf(itf.name, "received")).reduce((sum, one) => sum + (one || 0), 0);
  const owed = overview.interfacers.reduce((sum, itf) => sum + (itf.reporter?.owed || 0), 0);
  const facts = [
    nodes.length ? `${count(heard)} of ${many(nodes.length, "node")} heard` : "no node heard yet",
    `${rate(perSecond)} in`,
    owed ? `${many(owed, "frame")} owed` : "nothing owed",
    `emonHub ${overview.version}`,
  ];
  if (!overview.clock.set) facts.push(`clock not set${overview.clock.holding ? ", frames are held until it is" : ""}`);
  return facts.join(" · ");
}

const cardId = (name) => `of-${encodeURIComponent(name)}`;

function card(itf) {
  const { level, word } = stateOf(itf);
  const error = itf.error && itf.state !== "running" ? itf.error : itf.reporter?.trouble || itf.reporter?.buffer_trouble || "";
  const heading = `${cardId(itf.name)}-name`;
  return h("article", { class: "card itf", id: cardId(itf.name), "data-key": itf.name, "data-level": level, tabindex: "-1", "aria-labelledby": heading },
    h("header", null, h("h3", { id: heading }, itf.name), badge(level, word)),
    h("p", { class: "kind" }, itf.type.replace(/^EmonHub/, "").replace(/Interfacer$/, ""), itf.endpoint ? ` · ${itf.endpoint}` : ""),
    error ? h("p", { class: "problem-text" }, sentence(error)) : null,
    h("dl", { class: "facts" }, (itf.reporter ? reporterFacts(itf) : interfacerFacts(itf)).map(([name, value, tone]) =>
      h("div", null, h("dt", null, name), h("dd", { "data-level": tone }, value)))),
    h("footer", null, actions(itf)));
}

function interfacerFacts(itf) {
  const facts = [];
  if (itf.reads && itf.publishes.length) {
    const since = itf.last_received === null ? null : hubNow() - itf.last_received;
    facts.push(["Rate", rate(rateOf(itf.name, "received"))], ["Last frame", ago(since)], ["Frames", count(itf.received)]);
  }
  if (itf.publishes.length) facts.push(["Publishes on", itf.publishes.join(", ")]);
  if (itf.subscribes.length) facts.push(["Takes from", itf.subscribes.join(", ")]);
  if (itf.live) {
    facts.push(["To be sent", count(itf.live.waiting)]);
    if (itf.live.dropped || itf.live.failed) facts.push(["Not sent", `${count(itf.live.dropped + itf.live.failed)}`, "warn"]);
  }
  const bad = Object.entries(itf.bad);
  if (bad.length) facts.push(["Bad frames", reasons(bad), "warn"]);
  if (itf.restarts) facts.push(["Restarts", count(itf.restarts), "warn"]);
  if (!facts.length) facts.push(["Frames", itf.received ? count(itf.received) : "it publishes none"]);
  return facts;
}

const reasons = (entries) => entries.map(([reason, n]) => `${count(n)} ${reason}`).join(", ");

function reporterFacts(itf) {
  const r = itf.reporter;
  const out = rateOf(itf.name, "acknowledged");
  const facts = [
    ["Owes", r.owed ? `${many(r.owed, "frame")}, ${bytes(r.owed_bytes)}` : "nothing", r.owed > 0 && r.paused ? "paused" : null],
    ["Oldest", r.oldest === null ? "–" : `${moment(r.oldest)} (${ago(hubNow() - r.oldest)})`],
    ["Caught up in", catchUp(r, hubNow())],
    ["Delivered", count(r.acknowledged) + (out === null ? "" : ` (${rate(out)})`)],
    ["Takes from", itf.subscribes.join(", ") || "no channel"],
  ];
  const dropped = Object.entries(r.dropped);
  if (dropped.length) facts.push(["Dropped", reasons(dropped), "bad"]);
  if (r.dead) facts.push(["Dead letters", h("a", { href: `#/buffer/${encodeURIComponent(itf.name)}` }, count(r.dead)), "warn"]);
  if (itf.restarts) facts.push(["Restarts", count(itf.restarts), "warn"]);
  return facts;
}

function actions(itf) {
  const name = encodeURIComponent(itf.name);
  const row = [];
  if (itf.reporter?.can_pause) {
    const what = itf.reporter.paused ? "resume" : "pause";
    row.push(h("button", { type: "button", "data-act": what, "data-of": itf.name, class: itf.reporter.paused ? "primary" : null,
      "aria-label": `${what === "pause" ? "Pause" : "Resume"} ${itf.name}` }, what === "pause" ? "Pause" : "Resume"));
  }
  const links = [["#/setup/forms/" + name, "Settings"], ["#/log?of=" + name, "Log"]];
  if (itf.reporter) links.unshift(["#/buffer/" + name, "Buffer"]);
  else if (itf.publishes.length) links.unshift(["#/tap?of=" + name, "Tap"]);
  return [row, links.map(([href, text]) => h("a", { href, "aria-label": `${text} of ${itf.name}` }, text))];
}
