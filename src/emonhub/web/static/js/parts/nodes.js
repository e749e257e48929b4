// Nodes: every node with its values and plots; those that are heard and not known yet.

import { get, q } from "../lib/api.js";
import { h, icon, onActions, show } from "../lib/dom.js";
import { ago, count, fixed, many, span, value } from "../lib/format.js";
import { Plot } from "../lib/plot.js";
import { age, label, nodeList, store } from "../lib/store.js";
import { badge, empty, field, remember, remembered } from "../lib/ui.js";
import { unknownNodes } from "./unknown.js";

const PLOTTED_FIRST = 6; // nodes that show a plot before anybody chose one

export function enter(root, page) {
  const plots = new Map(); // "source\nid" -> Map(name -> Plot)
  const chosen = remembered("plots", {});
  const title = h("p", { class: "hint" });
  let strangers = 0;
  const filter = h("input", { type: "search", id: "node-filter", placeholder: "name, id or interfacer", autocomplete: "off" });
  const list = h("div", { class: "node-list" });
  const unknown = h("section", { "aria-labelledby": "unknown-title", class: "unknown" });
  root.append(
    h("div", { class: "part-head" }, h("div", null, h("h1", null, "Nodes"), title),
      field("node-filter", "Filter", filter)),
    list, unknown);

  const keyOf = (node) => `${node.source}\n${node.id}`;
  const wants = (node, name, at) => chosen[`${keyOf(node)}\n${name}`] ?? (at < PLOTTED_FIRST && name === telling(node));

  const draw = () => {
    const all = nodeList();
    const silent = all.filter((node) => node.stale).length;
    show(title, all.length ? `${many(all.length, "node")}, ${silent ? `${count(silent)} silent` : "all heard"}` : "",
      strangers && all.length ? [" · ", h("button", { type: "button", class: "link", "data-act": "strangers" }, `${many(strangers, "more", "more")} heard and not known`)] : null);
    const text = filter.value.trim().toLowerCase();
    const shown = all.filter((node) => `${label(node)} ${node.id} ${node.source}`.toLowerCase().includes(text));
    if (!all.length) {
      return show(list, empty("No node has been heard yet", "Nodes show up here with their first frame. Nothing comes? See whether the interfacers run in the ",
        h("a", { href: "#/overview" }, "Overview"), ", and what arrives in the ", h("a", { href: "#/tap" }, "Live tap"), "."));
    }
    show(list, shown.length ? shown.map((node) => card(node, (name) => wants(node, name, all.indexOf(node))))
      : empty("No node matches", `“${filter.value.trim()}” is in no name, id or interfacer.`));
    for (const node of shown) keepPlots(node, all.indexOf(node));
  };

  /** The plots that are wanted, and no others, in a node's card. */
  const keepPlots = (node, at) => {
    const key = keyOf(node);
    if (!plots.has(key)) plots.set(key, new Map());
    const mine = plots.get(key);
    const box = [...list.querySelectorAll(".node")].find((one) => one.dataset.key === key)?.querySelector(".plots");
    if (!box) return;
    const fresh = [];
    for (const one of node.values) {
      const wanted = wants(node, one.name, at);
      if (wanted && !mine.has(one.name)) {
        mine.set(one.name, new Plot(one.name, one.unit, () => toggle(key, one.name)));
        fresh.push(one.name);
      }
      if (!wanted && mine.has(one.name)) {
        mine.get(one.name).destroy();
        mine.delete(one.name);
      }
      const plot = mine.get(one.name);
      if (plot && plot.element.parentNode !== box) box.append(plot.element);
    }
    if (fresh.length) fillPlots(node, mine, fresh);
  };

  const toggle = (key, name) => {
    const node = store.nodes.get(key);
    if (!node) return;
    chosen[`${key}\n${name}`] = !wants(node, name, nodeList().indexOf(node));
    remember("plots", chosen);
    draw();
  };

  page.on("nodes", (news) => {
    for (const node of news) {
      for (const one of node.values) plots.get(keyOf(node))?.get(one.name)?.add(node.time, one.value, node.interval);
    }
    draw();
  });
  page.every(1000, draw);
  filter.addEventListener("input", draw);
  onActions(root, {
    plot: (button) => toggle(button.dataset.node, button.dataset.name),
    strangers: () => unknown.scrollIntoView(),
  });
  unknownNodes(unknown, page, (n) => {
    strangers = n;
    draw();
  });
  draw();
  return { leave: () => plots.forEach((mine) => mine.forEach((plot) => plot.destroy())) };
}

/** The value that says most of a node: its first power, else its first with a unit; none of values without a name. */
function telling(node) {
  const values = node.values;
  return (values.find((one) => one.unit === "W") || values.find((one) => one.unit && one.unit !== "n") || values.find((one) => !/^\d+$/.test(one.name)))?.name;
}

async function fillPlots(node, mine, names) {
  let history = { times: [], series: [] };
  try {
    history = await get(`/nodes/${q(node.source)}/${q(node.id)}/history`);
  } catch {
    // the plot starts with what comes from now on
  }
  for (const name of names) {
    const series = history.series.find((one) => one.name === name);
    await mine.get(name)?.fill(history.times, series?.values || [], node.interval);
  }
}

function card(node, wanted) {
  const key = `${node.source}\n${node.id}`;
  const heading = `node-${encodeURIComponent(key)}`;
  const since = age(node);
  return h("article", { class: `card node${node.stale ? " stale" : ""}`, "data-key": key, "aria-labelledby": heading },
    h("header", null, h("h2", { id: heading }, label(node)),
      badge(node.stale ? "warn" : "ok", node.stale ? `silent for ${span(since)}` : ago(since)),
      h("p", { class: "node-facts" }, facts(node).join(" · "))),
    h("ul", { class: "values" }, node.values.map((one) => valueRow(key, one, wanted(one.name)))),
    h("div", { class: "plots", "data-keep": "" }));
}

function facts(node) {
  const list = [`node ${node.id}`, `by ${node.source}`];
  if (node.rssi !== null && node.rssi !== undefined) list.push(`${value(node.rssi)} dBm`);
  if (node.interval) list.push(`every ${fixed(node.interval, node.interval < 9.95 ? 1 : 0)} s`);
  list.push(many(node.frames, "frame"));
  if (node.missed !== undefined && node.missed !== null) list.push(`${count(node.missed)} missed`);
  return list;
}

function valueRow(key, one, plotted) {
  return h("li", { "data-key": one.name },
    h("button", { type: "button", class: "value", "data-act": "plot", "data-node": key, "data-name": one.name, "aria-pressed": plotted ? "true" : "false",
      title: plotted ? "Close its plot" : "Plot it" },
    h("span", { class: "value-name" }, one.name), h("span", { class: "value-now" }, value(one.value), one.unit ? h("small", null, ` ${one.unit}`) : null), icon("chart")));
}
