// Making and updating elements. Whatever comes from the hub goes in as text nodes and attributes, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: h("p", {class: "x", "data-act": "y"}, "text", element, [more], null). */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" && element.tagName !== "PROGRESS" && element.tagName !== "OPTION") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/** One of the icons. */
export function icon(name) {
  return s("svg", { class: "icon", "aria-hidden": "true" }, s("use", { href: `/static/icons.svg#${name}` }));
}

/**
 * Make the children of `element` look like `children`, touching only what differs: focus, scroll positions and
 * selections outlive it. Children with data-key are matched by it; data-keep leaves what is inside alone.
 */
export function show(element, ...children) {
  const wanted = document.createElement("div");
  append(wanted, children);
  morphChildren(element, wanted);
}

const made = new WeakMap();

/** Make `list` have an element for each of `items`, in their order: `make(item)` is called once for an item. */
export function showItems(list, items, make) {
  let at = list.firstChild;
  for (const item of items) {
    if (!made.has(item)) made.set(item, make(item));
    const element = made.get(item);
    if (element === at) at = at.nextSibling;
    else list.insertBefore(element, at);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

function morphChildren(from, to) {
  const keyed = new Map();
  for (const child of from.children) if (child.dataset?.key) keyed.set(child.dataset.key, child);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    const key = next.dataset?.key;
    let match = key ? keyed.get(key) : at;
    if (!match || (!key && match.dataset?.key) || !alike(match, next)) {
      from.insertBefore(next, at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else from.insertBefore(match, at);
    morph(match, next);
  }
  while (at) {
    const after = at.nextSibling;
    at.remove();
    at = after;
  }
}

function alike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.dataset?.key === b.dataset?.key;
}

function morph(from, to) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  if (to.hasAttribute("data-keep")) return;
  if (from.nodeName === "SELECT" || from.nodeName === "INPUT" || from.nodeName === "TEXTAREA") {
    if (from.nodeName === "SELECT") morphChildren(from, to);
    if (document.activeElement !== from && from.value !== to.value) from.value = to.value;
    return;
  }
  morphChildren(from, to);
}

/** Call `actions[name](element, event)` for clicks on elements with data-act="name" inside `root`. */
export function onActions(root, actions) {
  root.addEventListener("click", (event) => {
    const element = event.target.closest("[data-act]");
    if (!element || !root.contains(element) || element.disabled) return;
    const act = actions[element.dataset.act];
    if (act) act(element, event);
  });
}

/** Call `act` once `ms` have passed without another call. */
export function debounced(act, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...args), ms);
  };
}
