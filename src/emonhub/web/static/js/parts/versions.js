// The last versions of emonhub.conf: compare one with what is there now, bring it back.

import { get, q } from "../lib/api.js";
import { diff, diffView } from "../lib/diff.js";
import { h, onActions, show } from "../lib/dom.js";
import { draft } from "../lib/draft.js";
import { bytes, moment } from "../lib/format.js";
import { attempt, dialog, empty, failure, toast } from "../lib/ui.js";

export function versions(body) {
  const list = h("div");
  body.append(list);
  let loaded = "";

  const look = async () => {
    loaded = draft.version;
    try {
      const all = await get("/configuration/versions");
      show(list, all.length ? table(all) : empty("No earlier version yet", "Each time that the file is saved here, the one before is kept; the last five can be brought back."));
    } catch (error) {
      show(list, failure(error));
    }
  };
  onActions(list, {
    compare: (button) => attempt(button, async () => {
      const { text } = await get(`/configuration/versions/${q(button.dataset.id)}`);
      const chosen = await dialog(`Version of ${button.dataset.time}`, [
        h("p", { class: "hint" }, "From what is in the file now to that version:"), diffView(diff(draft.base, text)),
      ], [{ label: "Close", value: "" }, { label: "Bring it back…", value: "back", primary: true }]);
      if (chosen === "back") bringBack(text);
    }),
    back: (button) => attempt(button, async () => bringBack((await get(`/configuration/versions/${q(button.dataset.id)}`)).text)),
  });
  look();
  return { update: () => draft.version !== loaded && look() };
}

function bringBack(text) {
  draft.edit(text);
  if (!draft.changed) return toast("that version is what is in the file now");
  toast("it is in the editor: have a look, then save");
  location.hash = "#/setup";
}

function table(all) {
  return h("div", { class: "card scroll" }, h("table", null,
    h("caption", { class: "sr" }, "Earlier versions, newest first"),
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "Of"), h("th", { scope: "col", class: "num" }, "Size"), h("th", { scope: "col" }, h("span", { class: "sr" }, "Actions")))),
    h("tbody", null, all.map((one, i) => h("tr", null,
      h("td", null, moment(one.time)), h("td", { class: "num" }, bytes(one.size)),
      h("td", null, h("div", { class: "row end" },
        h("button", { type: "button", "data-act": "compare", "data-id": one.id, "data-time": moment(one.time), "aria-label": `Compare the version of ${moment(one.time)}` }, "Compare"),
        h("button", { type: "button", "data-act": "back", "data-id": one.id, "aria-label": i ? `Bring back the version of ${moment(one.time)}` : "Undo the last change" }, i ? "Bring back" : "Undo the last change"))))))));
}
