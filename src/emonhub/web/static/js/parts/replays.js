// Replays: sending what a reporter has kept once more, to any reporter.

import { get, post, q } from "../lib/api.js";
import { h, onActions, show } from "../lib/dom.js";
import { count, many, sentence, span } from "../lib/format.js";
import { attempt, badge, failure, field, toast } from "../lib/ui.js";

const LEVELS = { running: "busy", done: "ok", finished: "ok", failed: "bad", stopped: "idle" };
const AGAIN_MS = 2000;

export function replays(section, page) {
  let name = "";
  const list = h("div", { class: "replay-list", "aria-live": "polite" });
  const form = h("form", { class: "toolbar card pad" });

  const look = async () => {
    try {
      const all = await get("/replays");
      show(list, all.map(progress));
    } catch (error) {
      show(list, error.missing ? failure(error) : null);
      form.hidden = Boolean(error.missing);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const data = new FormData(form);
    const time = (key) => (data.get(key) ? new Date(data.get(key)).getTime() / 1000 : null);
    const wanted = { of: name, into: data.get("into"), from: time("from"), to: time("to"), node: data.get("node").trim() || null };
    attempt(form.querySelector("button"), async () => {
      await post("/replays", wanted);
      toast(`replay of ${wanted.of} into ${wanted.into} has begun`);
      await look();
    });
  });
  onActions(list, { stop: (button) => attempt(button, async () => {
    await post(`/replays/${q(button.dataset.id)}/stop`);
    await look();
  }) });
  page.every(AGAIN_MS, () => name && look());

  return {
    of: (reporter, all) => {
      name = reporter;
      form.replaceChildren(
        field("replay-into", "Send to", h("select", { id: "replay-into", name: "into" }, all.map((one) => h("option", { value: one, selected: one === reporter }, one)))),
        field("replay-from", "From", h("input", { id: "replay-from", name: "from", type: "datetime-local", step: "1" })),
        field("replay-to", "Until", h("input", { id: "replay-to", name: "to", type: "datetime-local", step: "1" })),
        field("replay-node", "Node", h("input", { id: "replay-node", name: "node", size: 8, placeholder: "all", autocomplete: "off" })),
        h("button", { type: "submit" }, "Start the replay"));
      show(section, h("h2", { id: "replay-title" }, "Replay"),
        h("p", { class: "hint" }, `Sends what ${reporter} has delivered and kept once more, with its own times: a target that overwrites by time ends up with each frame once.`),
        h("div", { "data-keep": "" }));
      section.lastElementChild.replaceChildren(form, list);
      look();
    },
  };
}

function progress(one) {
  const level = LEVELS[one.state] || "busy";
  const running = level === "busy";
  return h("article", { class: "card replay", "data-key": String(one.id), "aria-label": `Replay of ${one.of} into ${one.into}` },
    h("div", { class: "row" }, h("strong", null, `${one.of} → ${one.into}`), badge(level, one.state), h("span", { class: "spacer" }),
      running ? h("button", { type: "button", "data-act": "stop", "data-id": one.id }, "Stop") : null),
    h("progress", { max: one.total || 1, value: one.sent, "aria-label": "Sent" }),
    h("p", { class: "hint" }, `${count(one.sent)} of ${many(one.total, "frame")}${one.refused ? `, ${count(one.refused)} refused` : ""}${running && one.time_left ? `, ${span(one.time_left)} left` : ""}`),
    one.error ? h("p", { class: "problem-text" }, sentence(one.error)) : null);
}
