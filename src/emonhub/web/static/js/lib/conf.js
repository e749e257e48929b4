// Reading emonhub.conf in the page, as far as the page needs it: sections by their brackets, keys by their line.

const SECTION = /^\s*(\[+)\s*(.*?)\s*(\]+)\s*(#.*)?$/;
const KEY = /^\s*([^#=[\]][^=]*?)\s*=\s*(.*)$/;

/** What a line is, for its colour: comment, section1..4, key, other. */
export function kindOf(line) {
  if (/^\s*#/.test(line)) return "comment";
  const section = SECTION.exec(line);
  if (section) return `section${Math.min(4, section[1].length)}`;
  return KEY.test(line) ? "key" : "other";
}

const unquoted = (text) => text.replace(/^(["'])(.*)\1$/, "$2");

/** [{depth, name, path, start, end, keys: Map(name -> text)}]: lines from `start` up to `end`, which is not part. */
export function sections(text) {
  const lines = text.split("\n");
  const list = [];
  const path = [];
  lines.forEach((line, at) => {
    const head = SECTION.exec(line);
    if (head && head[1].length === head[3].length) {
      const depth = head[1].length;
      path.length = Math.min(path.length, depth - 1);
      path[depth - 1] = unquoted(head[2]);
      list.push({ depth, name: path[depth - 1], path: [...path], start: at, end: lines.length, keys: new Map() });
      return;
    }
    const key = KEY.exec(line);
    if (key && list.length && kindOf(line) === "key") list.at(-1).keys.set(key[1], valueOf(key[2]));
  });
  list.forEach((one, i) => {
    const next = list.slice(i + 1).find((other) => other.depth <= one.depth);
    if (next) one.end = next.start;
  });
  return list;
}

/** A value without the comment behind it; quotes around the whole of it are taken off. */
export function valueOf(text) {
  let quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) quote = c === quote ? "" : quote;
    else if (c === '"' || c === "'") quote = c;
    else if (c === "#") return unquoted(text.slice(0, i).trim());
  }
  return unquoted(text.trim());
}

/** The interfacers in the text: [{name, type, line, settings: {name: text}}]. */
export function interfacers(text) {
  const all = sections(text);
  return all.filter((one) => one.depth === 2 && one.path[0] === "interfacers").map((one) => {
    const settings = {};
    for (const part of all) {
      if (part.depth === 3 && part.path[0] === "interfacers" && part.start > one.start && part.start < one.end) {
        for (const [key, value] of part.keys) settings[key] = value;
      }
    }
    return { name: one.name, type: one.keys.get("Type") || "", line: one.start + 1, settings };
  });
}

/** The text of one section of the second level, as it stands there; empty where there is none. */
export function sectionText(text, first, name) {
  const found = sections(text).find((one) => one.depth === 2 && one.path[0] === first && one.name === name);
  return found ? text.split("\n").slice(found.start, found.end).join("\n").trimEnd() : "";
}
