// Words in the language of the reader. Every word of the pages is in messages.en.json and messages.zh.json.

import { kept } from "./dom.js";

export const LANGUAGES = ["en", "zh"];
const TAGS = { en: "en", zh: "zh-Hans" };

let words = {};
export let language = "en";

function wanted() {
  const known = (code) => LANGUAGES.includes(code);
  const asked = [kept.get("language"), ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())];
  return asked.find(known) ?? "en";
}

/** Loads the words; without a code, of the language that was chosen before or that the browser asks for. */
export async function speak(code = wanted()) {
  const answer = await fetch(new URL(`messages.${code}.json`, import.meta.url));
  words = await answer.json();
  language = code;
  kept.set("language", code);
  document.documentElement.lang = TAGS[code];
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-t-label]")) element.ariaLabel = t(element.dataset.tLabel);
  for (const element of document.querySelectorAll("[data-t-hint]")) element.placeholder = t(element.dataset.tHint);
}

export const has = (key) => key in words;

/** The words of a key, with {name} filled in; with `count`, the key.one form where there is one of it. */
export function t(key, values = {}) {
  const found = (values.count === 1 && words[`${key}.one`]) || words[key];
  if (found === undefined) return key;
  return found.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (value ?? "");
  });
}

/** The words of a key where there are some, else the name itself: modalities, sources and states have both. */
export const named = (group, name) => (has(`${group}.${name}`) ? t(`${group}.${name}`) : name);

const locale = () => TAGS[language];
const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export const number = (value, digits = 0) =>
  missing(value) ? "–" : new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);

/** A number with three figures that count; whole numbers stay whole. */
export const figures = (value) =>
  missing(value)
    ? "–"
    : Number.isInteger(value)
      ? number(value)
      : new Intl.NumberFormat(locale(), { maximumSignificantDigits: 3 }).format(value);

export const percent = (value, digits = 0) =>
  missing(value)
    ? "–"
    : new Intl.NumberFormat(locale(), {
        style: "percent",
        maximumFractionDigits: digits,
        minimumFractionDigits: digits,
      }).format(value);

export const list = (names) => new Intl.ListFormat(locale(), { type: "conjunction" }).format(names);

const STEPS = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Infinity],
];

/** How long ago a time in seconds since 1970 is. */
export function ago(time) {
  if (!time) return "–";
  let value = time - Date.now() / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(value) < size) {
      return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(value), unit);
    }
    value /= size;
  }
  return "–";
}

export const clock = (time) =>
  new Intl.DateTimeFormat(locale(), { hour: "2-digit", minute: "2-digit" }).format(new Date(time * 1000));

export const date = (time) =>
  time
    ? new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(time * 1000))
    : "–";
