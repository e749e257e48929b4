// The difference between two texts, line by line.

import { h } from "./dom.js";

const CONTEXT = 3;
const MOST = 3000; // lines that are compared one by one; beyond, the differing middle is shown as replaced whole

/** [{sign: " " | "-" | "+", text, old, new}]: every line, with its number in either text. */
export function diff(before, after) {
  const a = before.split("\n");
  const b = after.split("\n");
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const signs = [
    ...a.slice(0, head).map((text) => [" ", text]),
    ...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)),
    ...a.slice(a.length - tail).map((text) => [" ", text]),
  ];
  let oldLine = 0;
  let newLine = 0;
  return signs.map(([sign, text]) => ({
    sign, text,
    old: sign === "+" ? null : ++oldLine,
    new: sign === "-" ? null : ++newLine,
  }));
}

/** Longest common subsequence by dynamic programming. */
function middle(a, b) {
  if (!a.length || !b.length || a.length > MOST || b.length > MOST) {
    return [...a.map((text) => ["-", text]), ...b.map((text) => ["+", text])];
  }
  const width = b.length + 1;
  const best = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] = a[i] === b[j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    }
  }
  const out = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push([" ", a[i++]]);
      j++;
    } else if (i < a.length && (j >= b.length || best[(i + 1) * width + j] >= best[i * width + j + 1])) {
      out.push(["-", a[i++]]);
    } else {
      out.push(["+", b[j++]]);
    }
  }
  return out;
}

/** {added, removed} */
export function changes(lines) {
  return { added: lines.filter((line) => line.sign === "+").length, removed: lines.filter((line) => line.sign === "-").length };
}

/** The changed lines with a few around them. */
export function diffView(lines) {
  const near = new Uint8Array(lines.length);
  lines.forEach((line, i) => {
    if (line.sign !== " ") near.fill(1, Math.max(0, i - CONTEXT), i + CONTEXT + 1);
  });
  const rows = [];
  lines.forEach((line, i) => {
    if (!near[i]) return;
    if (i && !near[i - 1]) rows.push(h("div", { class: "diff-gap" }, "⋯"));
    const kind = { "+": "added", "-": "removed", " ": "same" }[line.sign];
    rows.push(h("div", { class: `diff-line ${kind}` },
      h("span", { class: "diff-number" }, line.old ?? line.new), h("span", { class: "diff-sign", "aria-label": kind === "same" ? null : kind, role: kind === "same" ? null : "img" }, line.sign), h("span", null, line.text || " ")));
  });
  return h("div", { class: "diff mono", tabindex: "0", role: "group", "aria-label": "Changed lines" }, rows.length ? rows : h("p", null, "Nothing is changed."));
}
