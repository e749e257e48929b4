// What the page knows of the hub: fetched once, then kept fresh by one stream of events.

import { address, get, toLogin } from "./api.js";

const KEPT = 300; // samples of each interfacer's counters: ten minutes at one in two seconds
const RATE_S = 60;
const SURE_S = 8; // of counting before a rate is believed
const AGAIN_MS = 3000;

export const store = {
  overview: null,
  nodes: new Map(), // "source\nid" -> node
  samples: new Map(), // interfacer -> [{t, received, taken, acknowledged, owed}]
  connected: null, // null until known
};

const listeners = new Map();

/** Call `act(data)` for each event of a topic: overview, nodes, tap, log, link. Returns what ends it. */
export function on(topic, act) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(act);
  return () => listeners.get(topic).delete(act);
}

function tell(topic, data) {
  for (const act of listeners.get(topic) || []) act(data);
}

let offset = 0;

/** The hub's time now, in Unix seconds: ages are by its clock, not by the browser's. */
export function hubNow() {
  return Date.now() / 1000 + offset;
}

function takeOverview(overview) {
  offset = overview.time - Date.now() / 1000;
  store.overview = overview;
  const names = new Set();
  for (const itf of overview.interfacers) {
    names.add(itf.name);
    const list = store.samples.get(itf.name) || [];
    const r = itf.reporter;
    const sample = { t: overview.time, received: itf.received, taken: r?.taken, acknowledged: r?.acknowledged, owed: r?.owed };
    const last = list.at(-1);
    if (last && (last.t > sample.t || last.received > sample.received || (r && last.taken > sample.taken))) list.length = 0;
    if (!list.length || sample.t > list.at(-1).t) list.push(sample);
    if (list.length > KEPT) list.shift();
    store.samples.set(itf.name, list);
  }
  for (const name of store.samples.keys()) if (!names.has(name)) store.samples.delete(name);
  tell("overview", overview);
}

function takeNodes(news) {
  for (const node of news) store.nodes.set(`${node.source}\n${node.id}`, node);
  tell("nodes", news);
}

/** How fast a counter of an interfacer grows, per second, over the last minute; null until that is known. */
export function rateOf(name, counter) {
  const list = store.samples.get(name) || [];
  const last = list.at(-1);
  const first = list.find((sample) => sample.t >= last.t - RATE_S);
  if (!first || last[counter] === undefined) return null;
  if (last.t - first.t < SURE_S) return counter === "received" ? usualRate(name) : null;
  return Math.max(0, (last[counter] - first[counter]) / (last.t - first.t));
}

/** What its nodes' intervals make, while nothing is counted yet. */
function usualRate(name) {
  const mine = [...store.nodes.values()].filter((node) => node.source === name && node.interval && !node.stale);
  return mine.length ? mine.reduce((sum, node) => sum + 1 / node.interval, 0) : null;
}

let source = null;
let topics = [];
let timer = 0;

function link(connected) {
  if (store.connected === connected) return;
  store.connected = connected;
  tell("link", connected);
}

function open() {
  source?.close();
  clearTimeout(timer);
  source = new EventSource(address(`/events?topics=overview,nodes${topics.map((t) => "," + t).join("")}`));
  source.onopen = () => link(true);
  source.onerror = () => {
    link(false);
    source.close();
    timer = setTimeout(again, AGAIN_MS);
  };
  source.addEventListener("overview", (event) => takeOverview(JSON.parse(event.data)));
  source.addEventListener("nodes", (event) => takeNodes(JSON.parse(event.data)));
  for (const topic of ["tap", "log"]) source.addEventListener(topic, (event) => tell(topic, JSON.parse(event.data)));
}

async function again() {
  try {
    const answer = await fetch(address("/overview"), { cache: "no-store" });
    if (answer.status === 401) return toLogin();
    open();
  } catch {
    timer = setTimeout(again, AGAIN_MS);
  }
}

/** Listen to more than the overview and the nodes: tap, log. */
export function listenTo(more) {
  const wanted = more || [];
  if (source && wanted.join() === topics.join()) return;
  topics = wanted;
  open();
}

/** Fetch all once. */
export async function start() {
  const fetched = await Promise.allSettled([get("/overview"), get("/nodes")]);
  if (fetched[0].status === "fulfilled") takeOverview(fetched[0].value);
  if (fetched[1].status === "fulfilled") takeNodes(fetched[1].value);
  else link(false);
}

// A page that nobody sees costs the hub nothing.
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) {
    source?.close();
  } else {
    again();
  }
});

/** Nodes by name. */
export function nodeList() {
  return [...store.nodes.values()].sort((a, b) => label(a).localeCompare(label(b), undefined, { numeric: true }));
}

/** What a node goes by. */
export function label(node) {
  return node.name && node.name !== node.id ? node.name : `node ${node.id}`;
}

/** Whether a node has missed its time, also when the hub has not said so since. */
export function age(node) {
  return Math.max(0, hubNow() - node.time);
}
