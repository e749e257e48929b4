// The wiring as a picture: who publishes on which channel, and who takes from it.

import { s } from "./dom.js";
import { stateOf } from "./judge.js";
import { bytes, count, rate } from "./format.js";
import { rateOf } from "./store.js";

const BOX_H = 56;
const CHANNEL_H = 34;
const GAP = 14;
const NARROW = 560;
const NAME_FONT = "650 14px";
const FACTS_FONT = "12.5px";

/** An SVG of the interfacers, `width` pixels wide. */
export function wiring(interfacers, width) {
  const graph = graphOf(interfacers);
  return width < NARROW ? upright(graph, width) : lying(graph, width);
}

/** {left, channels, right, edges: [{from, to, back}]}: who writes stands left, who only takes stands right. */
function graphOf(interfacers) {
  const channels = new Map();
  const at = (name) => {
    if (!channels.has(name)) channels.set(name, { name, writers: 0, readers: 0 });
    return channels.get(name);
  };
  const left = interfacers.filter((itf) => itf.publishes.length || !itf.subscribes.length);
  const right = interfacers.filter((itf) => !left.includes(itf));
  const edges = [];
  for (const itf of interfacers) {
    for (const name of itf.publishes) {
      at(name).writers += 1;
      edges.push({ itf, channel: name, writes: true, back: false });
    }
    for (const name of itf.subscribes) {
      at(name).readers += 1;
      edges.push({ itf, channel: name, writes: false, back: left.includes(itf) });
    }
  }
  return { left, right, channels: [...channels.values()], edges };
}

function lying(graph, width) {
  const boxW = Math.min(300, Math.floor(width * 0.32));
  const channelW = Math.min(190, Math.floor(width * 0.2));
  const places = new Map();
  const stack = (items, x, w, itemH, key) => {
    let y = 8;
    for (const item of items) {
      places.set(key(item), { x, y, w, h: itemH });
      y += itemH + GAP;
    }
    return y;
  };
  const height = Math.max(
    stack(graph.left, 1, boxW, BOX_H, (itf) => itf.name + "\ni"),
    stack(graph.channels, (width - channelW) / 2, channelW, CHANNEL_H, (c) => c.name + "\nc"),
    stack(graph.right, width - boxW - 1, boxW, BOX_H, (itf) => itf.name + "\ni"),
  );
  centre(graph, places, height);
  const lines = graph.edges.map((edge) => {
    const box = places.get(edge.itf.name + "\ni");
    const channel = places.get(edge.channel + "\nc");
    const onLeft = box.x < channel.x;
    const shift = edge.back ? 10 : graph.edges.some((e) => e.back && e.itf === edge.itf) && onLeft ? -8 : 0;
    const a = { x: onLeft ? box.x + box.w : box.x, y: box.y + box.h / 2 + shift };
    const b = { x: onLeft ? channel.x : channel.x + channel.w, y: channel.y + channel.h / 2 };
    const middle = (a.x + b.x) / 2;
    const [p, r] = edge.writes ? [a, b] : [b, a];
    return line(`M${p.x} ${p.y}C${middle} ${p.y} ${middle} ${r.y} ${r.x} ${r.y}`, edge);
  });
  return frame(width, height, lines, graph, places);
}

/** Columns shorter than the picture stand in its middle. */
function centre(graph, places, height) {
  const columns = [
    graph.left.map((itf) => itf.name + "\ni"),
    graph.channels.map((c) => c.name + "\nc"),
    graph.right.map((itf) => itf.name + "\ni"),
  ];
  for (const keys of columns) {
    if (!keys.length) continue;
    const last = places.get(keys.at(-1));
    const shift = (height - (last.y + last.h + GAP)) / 2;
    for (const key of keys) places.get(key).y += shift;
  }
}

/** For a narrow screen: one below the other, the lines in a gutter at the left. */
function upright(graph, width) {
  const lanes = Math.max(1, graph.channels.length);
  const gutter = 16 + lanes * 11;
  const places = new Map();
  let y = 6;
  const add = (key, w, itemH) => {
    places.set(key, { x: gutter, y, w, h: itemH });
    y += itemH + GAP;
  };
  for (const itf of graph.left) add(itf.name + "\ni", width - gutter - 1, BOX_H);
  for (const channel of graph.channels) add(channel.name + "\nc", Math.min(200, width - gutter - 1), CHANNEL_H);
  for (const itf of graph.right) add(itf.name + "\ni", width - gutter - 1, BOX_H);
  const lines = graph.edges.map((edge) => {
    const box = places.get(edge.itf.name + "\ni");
    const channel = places.get(edge.channel + "\nc");
    const x = 8 + graph.channels.findIndex((c) => c.name === edge.channel) * 11;
    const a = box.y + box.h / 2 + (edge.back ? 12 : 0);
    const b = channel.y + channel.h / 2;
    const [p, r] = edge.writes ? [a, b] : [b, a];
    const turn = p < r ? 6 : -6;
    return line(`M${gutter} ${p}H${x + 6}Q${x} ${p} ${x} ${p + turn}V${r - turn}Q${x} ${r} ${x + 6} ${r}H${gutter}`, edge);
  });
  return frame(width, y, lines, graph, places);
}

function line(d, edge) {
  const { level } = stateOf(edge.itf);
  const flows = edge.writes && level === "ok" && (rateOf(edge.itf.name, "received") || 0) > 0;
  return s("path", { class: `wire${flows ? " flows" : ""}${edge.back ? " back" : ""}`, d, "marker-end": "url(#arrow)" });
}

function frame(width, height, lines, graph, places) {
  const boxes = [...graph.left, ...graph.right].map((itf) => box(itf, places.get(itf.name + "\ni")));
  const channels = graph.channels.map((channel) => channelBox(channel, places.get(channel.name + "\nc")));
  return s("svg", { class: "wiring", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "The wiring" },
    s("defs", null, s("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
      s("path", { d: "M0 .5 7.500 4 0 7.500z", class: "arrow" }))),
    lines, channels, boxes);
}

function box(itf, place) {
  const { level, word } = stateOf(itf);
  const room = place.w - 52;
  const facts = factsOf(itf);
  return s("a", { class: "box", "data-level": level, href: `#/overview/${encodeURIComponent(itf.name)}` },
  s("rect", { x: place.x, y: place.y, width: place.w, height: place.h, rx: 8 }),
  s("use", { href: `/static/icons.svg#${level}`, class: "icon", role: "img", "aria-label": word, x: place.x + 12, y: place.y + 18, width: 20, height: 20 }),
  s("text", { x: place.x + 42, y: place.y + 24, class: "box-name" }, cut(itf.name, room, NAME_FONT)),
  s("text", { x: place.x + 42, y: place.y + 42, class: "box-facts" }, cut(level === "ok" ? facts : `${word}, ${facts}`, room, FACTS_FONT)));
}

/** Its rate, and what it owes. */
function factsOf(itf) {
  if (itf.state === "refused") return itf.type;
  const r = itf.reporter;
  if (r) {
    const out = rateOf(itf.name, "acknowledged");
    const owes = r.owed ? `owes ${count(r.owed)} (${bytes(r.owed_bytes)})` : "owes nothing";
    return out === null ? owes : `${rate(out)} · ${owes}`;
  }
  return itf.publishes.length ? rate(rateOf(itf.name, "received")) : itf.endpoint || itf.type;
}

function channelBox(channel, place) {
  const alone = !channel.writers ? "nobody writes" : !channel.readers ? "nobody takes" : "";
  return s("g", { class: `channel${alone ? " alone" : ""}` },
    s("title", null, alone ? `${channel.name}: ${alone}` : channel.name),
    s("rect", { x: place.x, y: place.y, width: place.w, height: place.h, rx: place.h / 2 }),
    s("text", { x: place.x + place.w / 2, y: place.y + (alone ? 15 : 21.5), "text-anchor": "middle" }, cut(channel.name, place.w - 20, NAME_FONT)),
    alone ? s("text", { x: place.x + place.w / 2, y: place.y + 28, "text-anchor": "middle", class: "box-facts" }, alone) : null);
}

const pen = document.createElement("canvas").getContext("2d");

/** As much of a text as `room` pixels hold. */
function cut(text, room, font) {
  pen.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
  if (pen.measureText(text).width <= room) return text;
  let length = text.length;
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > room) length--;
  return `${text.slice(0, length)}…`;
}
