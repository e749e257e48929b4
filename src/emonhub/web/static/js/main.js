// The frame around the parts: header, routes, connection.

import { getSession, logOut } from "./lib/api.js";
import { h, icon, show } from "./lib/dom.js";
import { judge } from "./lib/judge.js";
import { listenTo, on, start, store } from "./lib/store.js";

const PARTS = {
  overview: () => import("./parts/overview.js"),
  nodes: () => import("./parts/nodes.js"),
  tap: () => import("./parts/tap.js"),
  setup: () => import("./parts/setup.js"),
  buffer: () => import("./parts/buffer.js"),
  log: () => import("./parts/log.js"),
};
const TITLES = { overview: "Overview", nodes: "Nodes", tap: "Live tap", setup: "Setup", buffer: "Buffer", log: "Log" };

const main = document.getElementById("main");
let current = null; // {name, part, offs}
let going = 0;

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...args] = path.split("/").map(decodeURIComponent);
  return { name: name in PARTS ? name : "overview", args, query: new URLSearchParams(query || "") };
}

async function go() {
  const to = route();
  const turn = ++going;
  for (const link of document.querySelectorAll("nav.parts a")) {
    if (link.getAttribute("href") === `#/${to.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[to.name]} · emonHub`;
  if (current?.name === to.name) {
    current.part.route?.(to);
    return;
  }
  const module = await PARTS[to.name]();
  if (turn !== going) return;
  if (current) {
    current.part.leave?.();
    for (const off of current.offs) off();
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  const offs = [];
  const root = h("div", { class: `part part-${to.name}` });
  main.replaceChildren(root);
  const part = module.enter(root, { on: (topic, act) => offs.push(on(topic, act)), every: (ms, act) => {
    const timer = setInterval(act, ms);
    offs.push(() => clearInterval(timer));
  } }, to);
  current = { name: to.name, part: part || {}, offs };
  part?.route?.(to);
  listenTo(module.topics);
}

const pill = document.getElementById("state");

function showState() {
  const said = judge();
  pill.dataset.level = said.level;
  show(pill, icon(said.level), h("span", { class: "long" }, said.title), h("span", { class: "short" }, said.short));
}

function showLink() {
  const text = store.connected === false ? "Connection lost, trying again…" : "";
  document.getElementById("link").textContent = text;
  document.body.classList.toggle("cut", store.connected === false);
}

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const SIGNS = { auto: "auto", light: "sun", dark: "moon" };
const themeButton = document.getElementById("theme");

function showTheme() {
  const theme = emonhubTheme.chosen();
  show(themeButton, icon(SIGNS[theme]));
  const words = theme === "auto" ? "as the system has it" : theme;
  themeButton.setAttribute("aria-label", `Theme: ${words}. Change it`);
  themeButton.title = `Theme: ${words}`;
}

themeButton.addEventListener("click", () => {
  emonhubTheme.choose(NEXT[emonhubTheme.chosen()]);
  showTheme();
});
document.getElementById("logout").addEventListener("click", logOut);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", go);
on("overview", showState);
on("nodes", showState);
on("link", showLink);
showTheme();
start().then(go);
getSession().then((session) => {
  document.getElementById("logout").hidden = !session.password;
});
