// Nodes that are heard and not known: which templates fit, decoded side by side, accepted with one click.

import { get, post } from "../lib/api.js";
import { h, onActions, show } from "../lib/dom.js";
import { ago, many, sentence, value } from "../lib/format.js";
import { hubNow } from "../lib/store.js";
import { attempt, badge, copy, toast } from "../lib/ui.js";

const AGAIN_MS = 5000;

/** Keep `section` showing them; it is hidden while there are none. `found` is told how many there are. */
export function unknownNodes(section, page, found) {
  let nodes = [];
  const draw = () => {
    section.hidden = !nodes.length;
    show(section, h("h2", { id: "unknown-title" }, "Heard and not known"),
      h("p", { class: "hint" }, "These nodes send, and nothing in [nodes] says how to read them. Accept the template whose values make sense: it is kept beside your file, which stays as it is."),
      nodes.map(card));
  };
  const look = async () => {
    try {
      nodes = await get("/unknown");
    } catch {
      nodes = [];
    }
    draw();
    found(nodes.length);
  };
  const idOf = (button) => nodes.find((node) => String(node.node) === button.dataset.node).node;
  onActions(section, {
    accept: (button) => attempt(button, async () => {
      await post("/unknown/accept", { node: idOf(button), template: button.dataset.template });
      toast(`node ${button.dataset.node} is accepted as ${button.dataset.template}`);
      await look();
    }),
    forget: (button) => attempt(button, async () => {
      await post("/unknown/forget", { node: idOf(button) });
      await look();
    }),
    start: (button) => copy(`[[${button.dataset.node}]]\n    nodename = node${button.dataset.node}\n    [[[rx]]]\n        names = \n        datacode = h\n`),
  });
  draw();
  look();
  page.every(AGAIN_MS, look);
}

function card(node) {
  const heading = `unknown-${encodeURIComponent(node.node)}`;
  const facts = [`by ${node.source}`, many(node.size, "byte"), many(node.frames, "frame"), `heard ${ago(hubNow() - node.time)}`];
  if (node.rssi) facts.push(`${value(node.rssi)} dBm`);
  const fits = node.candidates.length;
  return h("article", { class: "card unknown-node", "data-key": `${node.source}\n${node.node}`, "aria-labelledby": heading },
    h("header", null, h("h3", { id: heading }, `Node ${node.node}`),
      badge(fits ? "busy" : "idle", fits ? "proposed" : "seen"),
      h("p", { class: "node-facts" }, facts.join(" · "))),
    h("p", { class: "raw mono" }, node.raw),
    fits ? h("div", { class: "candidates" }, node.candidates.map((one) => candidate(node, one)))
      : h("p", null, "No template has frames of this length. Say how to read it in ", h("a", { href: "#/setup" }, "Setup"), "."),
    h("footer", { class: "row" },
      h("button", { type: "button", "data-act": "start", "data-node": node.node }, "Copy a start for emonhub.conf"),
      h("button", { type: "button", class: "quiet", "data-act": "forget", "data-node": node.node, "aria-label": `Forget it: node ${node.node}` }, "Forget it")));
}

function candidate(node, one) {
  return h("section", { class: "candidate", "data-key": one.template, "data-level": one.plausible ? "ok" : "warn", "aria-label": `Template ${one.template}` },
    h("h4", null, one.template),
    h("p", { class: "row" }, badge(one.plausible ? "ok" : "warn", one.plausible ? "plausible" : "unlikely"),
      one.fits_node_id ? h("span", { class: "hint" }, "usual for this node id") : null),
    one.why ? h("p", { class: "hint" }, sentence(one.why)) : null,
    h("dl", { class: "decoded", tabindex: "0", "aria-label": `Values by ${one.template}` }, one.values.map((v) => h("div", null, h("dt", null, v.name), h("dd", null, value(v.value), v.unit ? ` ${v.unit}` : "")))),
    h("button", { type: "button", class: one.plausible ? "primary" : null, "data-act": "accept", "data-node": node.node, "data-template": one.template,
      "aria-label": `Accept node ${node.node} as ${one.template}` }, "Accept"));
}
