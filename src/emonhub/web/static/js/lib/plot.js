// One small live plot of one value, drawn by uPlot, which is loaded when the first one is wanted.

import { h, icon } from "./dom.js";
import { clock, fixed, span, value } from "./format.js";
import { hubNow } from "./store.js";

const HOUR_S = 3600;
const HEIGHT = 132;
const BROKEN_AFTER = 3.5; // of a node's intervals without a frame: the line is broken there
const STEP_S = 6; // between two points that the hub remembers, where frames come faster

let loading = null;

function library() {
  loading ||= new Promise((resolve, reject) => {
    document.head.append(h("link", { rel: "stylesheet", href: "/static/vendor/uplot/uPlot.min.css" }));
    const script = h("script", { src: "/static/vendor/uplot/uPlot.iife.min.js" });
    script.onload = () => resolve(globalThis.uPlot);
    script.onerror = () => reject(new Error("the plots can't be loaded"));
    document.head.append(script);
  });
  return loading;
}

const digitsOf = (step) => (String(step).split(".")[1] || "").length;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plot {
  /** `close` is called when it is not wanted any more. */
  constructor(name, unit, close) {
    this.name = name;
    this.unit = unit;
    this.times = [];
    this.values = [];
    this.interval = 0;
    this.chart = null;
    this.now = h("strong", { class: "plot-now" });
    this.range = h("span", { class: "plot-range" });
    this.area = h("div", { class: "plot-area", role: "img" });
    this.element = h("figure", { class: "plot card" },
      h("figcaption", null, h("span", { class: "plot-name" }, name), this.now, this.range,
        h("button", { type: "button", class: "quiet icon-only", "aria-label": `Close the plot of ${name}`, onclick: close }, icon("close"))),
      this.area);
    this.watch = new ResizeObserver(() => this.chart?.setSize({ width: this.area.clientWidth, height: HEIGHT }));
    this.recolour = () => this.rebuild();
    addEventListener("themechange", this.recolour);
  }

  /** Start with what the hub remembers. */
  async fill(times, values, interval) {
    const later = this.times.findIndex((time) => time > (times.at(-1) ?? 0));
    const tail = later < 0 ? [] : this.times.slice(later).map((time, i) => [time, this.values[later + i]]);
    this.interval = interval;
    this.times = [];
    this.values = [];
    times.forEach((time, i) => this.push(time, values[i]));
    tail.forEach(([time, one]) => this.push(time, one));
    this.Library = await library();
    this.rebuild();
  }

  push(time, one) {
    const last = this.times.at(-1);
    if (last !== undefined && time <= last) return;
    if (last !== undefined && this.interval && time - last > BROKEN_AFTER * Math.max(STEP_S, this.interval)) {
      this.times.push(last + 0.001);
      this.values.push(null);
    }
    this.times.push(time);
    this.values.push(one ?? null);
  }

  /** A new value. */
  add(time, one, interval) {
    this.interval = interval ?? this.interval;
    this.push(time, one);
    while (this.times.length && this.times[0] < hubNow() - HOUR_S) {
      this.times.shift();
      this.values.shift();
    }
    this.chart?.setData([this.times, this.values]);
    this.describe();
  }

  describe(index = null) {
    const shown = index ?? this.values.length - 1;
    const there = this.values.filter((one) => one !== null);
    const unit = this.unit ? ` ${this.unit}` : "";
    this.now.textContent = `${value(this.values[shown])}${unit}`;
    const low = value(there.length ? Math.min(...there) : null);
    const high = value(there.length ? Math.max(...there) : null);
    const length = this.times.length > 1 ? span(this.times.at(-1) - this.times[0]) : "";
    this.range.textContent = index !== null ? `at ${clock(this.times[index])}` : length ? `${low} to ${high} in ${length}` : "";
    this.area.setAttribute("aria-label", `${this.name}: now ${value(this.values.at(-1))}${unit}, from ${low} to ${high}`);
  }

  rebuild() {
    if (!this.Library) return;
    this.chart?.destroy();
    const axis = { stroke: colour("--ink-2"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const line = colour("--accent");
    this.chart = new this.Library({
      width: Math.max(160, this.area.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 10, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: { range: (_, low, high) => this.rangeOf(low, high) } },
      axes: [
        { ...axis, size: 26, space: 70, values: (_chart, splits, _axis, _space, step) => splits.map((t) => (step < 60 ? clock(t) : clock(t).slice(0, 5))) },
        { ...axis, size: 54, space: 20, values: (_chart, splits, _axis, _space, step) => splits.map((one) => fixed(one, digitsOf(step))) },
      ],
      series: [{}, { stroke: line, width: 1.75, fill: line + "1c", points: { show: false } }],
      hooks: { setCursor: [(chart) => this.describe(chart.cursor.idx ?? null)] },
    }, [this.times, this.values], this.area);
    this.watch.observe(this.area);
    this.describe();
  }

  /** Some air around the values; a steady value stands in the middle. */
  rangeOf(low, high) {
    if (low === null || high === null) return [0, 1];
    const air = high > low ? (high - low) * 0.08 : Math.max(Math.abs(high) * 0.02, 0.5);
    return [low >= 0 && low - air < 0 ? 0 : low - air, high + air];
  }

  destroy() {
    removeEventListener("themechange", this.recolour);
    this.watch.disconnect();
    this.chart?.destroy();
    this.element.remove();
  }
}
