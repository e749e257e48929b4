// Is everything well? What the hub complains of and which nodes are silent, each with where to look.

import { age, label, nodeList, store } from "./store.js";
import { ended, many, sentence, span } from "./format.js";

const STATES = {
  running: ["ok", "running"],
  starting: ["busy", "starting"],
  waiting: ["warn", "waiting"],
  failed: ["bad", "failed"],
  refused: ["bad", "refused"],
  stopped: ["idle", "stopped"],
};

/** {level, word} of an interfacer: level is ok, busy, warn, bad, idle or paused. */
export function stateOf(itf) {
  const [level, word] = STATES[itf.state] || ["idle", itf.state];
  if (itf.reporter?.paused && level === "ok") return { level: "paused", word: "paused" };
  if (level === "ok" && itf.reporter?.trouble) return { level: "warn", word: "in trouble" };
  return { level, word };
}

/** {level, title, short, reasons: [{text, href, label, level}]} for the whole hub. */
export function judge() {
  const overview = store.overview;
  if (!overview) return { level: "idle", title: "Connecting…", short: "Connecting…", reasons: [] };
  const reasons = overview.complaints.map(reasonOf);
  const silent = nodeList().filter((node) => node.stale);
  for (const node of silent) {
    reasons.push({
      level: "warn",
      text: `${label(node)} is silent: last heard ${span(age(node))} ago.`,
      href: "#/nodes",
      label: "Nodes",
    });
  }
  for (const itf of overview.interfacers) {
    if (itf.reporter?.paused) {
      reasons.push({ level: "paused", text: `${itf.name} is paused.`, href: buffer(itf.name), label: "Resume it" });
    }
  }
  const serious = reasons.filter((reason) => reason.level !== "paused").length;
  if (!overview.interfacers.length) return { level: "idle", title: "Nothing is set up yet", short: "Not set up", reasons };
  if (!serious) {
    const title = reasons.length ? "All is well, but something is paused" : "All is well";
    return { level: reasons.length ? "paused" : "ok", title, short: reasons.length ? "Paused" : "All is well", reasons };
  }
  const level = reasons.some((reason) => reason.level === "bad") ? "bad" : "warn";
  return { level, title: `${many(serious, "thing needs", "things need")} a look`, short: `${serious} to look at`, reasons };
}

const buffer = (name) => `#/buffer/${encodeURIComponent(name)}`;

function reasonOf(text) {
  const itf = store.overview.interfacers
    .filter((one) => text.startsWith(`${one.name} `) || text.startsWith(`${one.name}:`))
    .sort((a, b) => b.name.length - a.name.length)[0];
  const said = itf ? ended(text) : sentence(text); // a name keeps its small first letter
  if (text.includes("configuration is refused")) return { level: "bad", text: said, href: "#/setup", label: "Setup" };
  if (!itf) return { level: "warn", text: said, href: "#/log", label: "Log" };
  if (itf.state === "refused") {
    return { level: "bad", text: said, href: `#/setup/forms/${encodeURIComponent(itf.name)}`, label: "Its settings" };
  }
  const rest = text.slice(itf.name.length);
  if (itf.reporter && (rest.startsWith(":") || rest.startsWith(" has dropped"))) {
    return { level: "warn", text: said, href: buffer(itf.name), label: "Its buffer" };
  }
  const level = itf.state === "failed" ? "bad" : "warn";
  return { level, text: said, href: `#/log?of=${encodeURIComponent(itf.name)}`, label: "Its log" };
}
