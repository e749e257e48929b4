// Frames that passed, as a test case: wire (what came), conf (what read it), expected.json (what came out).

import { get } from "./api.js";
import { sectionText } from "./conf.js";
import { h } from "./dom.js";
import { copy, dialog, toast } from "./ui.js";

/** Show a case made of frames, oldest first, ready to be copied. */
export async function showCase(frames) {
  const usable = frames.filter((frame) => frame.raw);
  if (!usable.length) return toast("there is no raw form of this to make a case of", "warn");
  const first = usable[0].interfacer;
  const mine = usable.filter((frame) => frame.interfacer === first);
  let configuration = "";
  try {
    configuration = (await get("/configuration")).text;
  } catch {
    // without it, the case says what its conf must hold
  }
  const files = caseOf(mine, first, configuration);
  const notes = mine.length < usable.length ? h("p", { class: "hint" }, `Only the frames of ${first}: a case is about one interfacer.`) : null;
  const chosen = await dialog("As a test case", [
    h("p", { class: "hint" }, "A folder with these three files is a case of tests/devices."),
    notes,
    Object.entries(files).map(([name, text]) => h("section", { class: "case-file" },
      h("div", { class: "row" }, h("h3", null, name), h("button", { type: "button", onclick: () => copy(text), "aria-label": `Copy ${name}` }, "Copy")),
      h("pre", { tabindex: "0", "aria-label": name }, text))),
  ], [{ label: "Close", value: "" }, { label: "Copy all as shell commands", value: "all", primary: true }]);
  if (chosen === "all") await copy(asCommands(files));
}

/** {wire, conf, "expected.json"} */
export function caseOf(frames, interfacer, configuration) {
  const ids = [...new Set(frames.filter((frame) => frame.event === "frame").map((frame) => frame.node))];
  const nodes = ids.map((id) => sectionText(configuration, "nodes", id)).filter(Boolean);
  const section = sectionText(configuration, "interfacers", interfacer) || `[[${interfacer}]]\n    # its section of emonhub.conf`;
  const conf = ["[hub]", "[interfacers]", section.replace(/^(\s*com_port\s*=\s*).*$/m, "$1PORT"), "[nodes]", ...nodes].join("\n") + "\n";
  return { wire: frames.map((frame) => frame.raw.trimEnd()).join("\n") + "\n", conf, "expected.json": expected(frames) };
}

function expected(frames) {
  const passed = frames.filter((frame) => frame.event === "frame").map((frame) => {
    const names = frame.values.map(([name]) => name);
    const id = /^\d+$/.test(frame.node) ? Number(frame.node) : frame.node;
    return JSON.stringify({ node: id, nodename: frame.name === frame.node ? "" : frame.name, values: frame.values.map(([, value]) => value), rssi: frame.rssi || 0, names });
  });
  const bad = {};
  for (const frame of frames) if (frame.event === "discarded") bad[frame.reason] = (bad[frame.reason] || 0) + 1;
  return `{\n  "frames": [\n${passed.map((line) => "    " + line).join(",\n")}\n  ],\n  "bad": ${JSON.stringify(bad)}\n}\n`;
}

function asCommands(files) {
  const parts = Object.entries(files).map(([name, text]) => `cat > ${name} <<'CASE'\n${text}CASE\n`);
  return "mkdir -p tests/devices/new/case && cd tests/devices/new/case\n" + parts.join("");
}
