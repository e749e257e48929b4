// Numbers, sizes and times for people.

const FRESH_S = 60;
const THIN = "\u2009";

/** A measured value: four significant digits or all digits before the point, whichever is more. */
export function value(x) {
  if (x === null || x === undefined) return "–";
  if (typeof x !== "number") return String(x);
  const size = Math.abs(x);
  if (Number.isInteger(x)) return grouped(x);
  if (size !== 0 && size < 0.001) return x.toPrecision(3);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return grouped(Number(x.toFixed(digits)));
}

function grouped(x) {
  const [whole, rest] = String(x).split(".");
  const sign = whole.startsWith("-") ? "−" : "";
  const digits = whole.replace("-", "");
  const spaced = digits.length > 4 && !digits.includes("e") ? digits.replace(/\B(?=(\d{3})+$)/g, THIN) : digits;
  return sign + spaced + (rest ? "." + rest : "");
}

/** A number with at most so many digits behind the point. */
export function fixed(x, digits) {
  return grouped(Number(x.toFixed(digits)));
}

/** A count. */
export function count(n) {
  return grouped(Math.round(n));
}

/** "1 frame", "2 frames". */
export function many(n, word, words = word + "s") {
  return `${count(n)} ${n === 1 ? word : words}`;
}

/** A size in bytes. */
export function bytes(n) {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let at = -1;
  do {
    n /= 1000;
    at += 1;
  } while (n >= 999.5 && at < units.length - 1);
  return `${n < 10 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
}

/** A length of time, its two largest units at most. */
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, seconds);
  if (s < 1) return "now";
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return s < 600 ? `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s` : `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** "5 s ago". */
export function ago(seconds) {
  return seconds === null || seconds === undefined ? "never" : seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** How long a reporter takes until it owes no more than what has just come. */
export function catchUp(reporter, now) {
  if (reporter.paused) return "when it is resumed";
  if (!reporter.owed || (now - reporter.oldest < FRESH_S && !reporter.trouble)) return "keeps up";
  return reporter.time_left === null ? "not known yet" : span(reporter.time_left);
}

/** Frames in a second, or in a minute where that is more telling. */
export function rate(perSecond) {
  if (perSecond === null || perSecond === undefined) return "…";
  if (perSecond >= 10) return `${count(perSecond)}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`;
  const perMinute = perSecond * 60;
  return perMinute >= 10 ? `${Math.round(perMinute)}/min` : `${Number(perMinute.toFixed(1))}/min`;
}

const two = (n) => String(n).padStart(2, "0");

/** Time of day, with milliseconds if wanted. */
export function clock(time, ms = false) {
  const d = new Date(time * 1000);
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return ms ? `${text}.${String(d.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Date and time; the date is left out today. */
export function moment(time) {
  const d = new Date(time * 1000);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return d.toDateString() === new Date().toDateString() ? clock(time) : `${day} ${clock(time)}`;
}

/** First letter large, a full stop at the end. */
export function sentence(text) {
  const t = ended(text);
  return t.charAt(0).toUpperCase() + t.slice(1);
}

/** A full stop at the end. */
export function ended(text) {
  const t = String(text).trim();
  return t && !/[.!?…]$/.test(t) ? `${t}.` : t;
}
