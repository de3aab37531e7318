// Things as pictures, and scores as bars of the kinds of information that they come from.

import { medium } from "./api.js";
import { h, hash, said } from "./dom.js";
import { named, number, percent, t } from "./i18n.js";
import { shop } from "./reading.js";

const COLOURS = {
  clicks: 1,
  neighbours: 1,
  text: 4,
  image: 0,
  audio: 2,
  video: 3,
  "video-sound": 5,
  category: 6,
  number: 8,
  series: 9,
  taste: 1,
  history: 1,
};

/** Address of the first medium of a modality, or "". */
export function mediumOf(thing, modality) {
  const found = Object.entries(thing.media ?? {}).find(
    ([field, address]) => address && shop.fields.get(field) === modality,
  );
  return found ? found[1] : "";
}

/** A box with the picture of a thing, or its letter on a colour of its own. */
export function picture(thing, { width = 320, name = "picture", alt = "" } = {}) {
  const address = mediumOf(thing, "image");
  const box = h("div", { class: name, vars: { "--hue": hash(thing.id) % 360 } });
  const letter = () => {
    box.classList.add("none");
    box.replaceChildren(
      h(
        "span",
        { class: "letter", "aria-hidden": "true", translate: "no" },
        [...(thing.title || thing.id)][0].toUpperCase(),
      ),
    );
  };
  if (address)
    box.append(h("img", { src: medium(address, width), alt, loading: "lazy", decoding: "async", onerror: letter }));
  else letter();
  return box;
}

export const thumb = (thing) => picture(thing, { width: 120, name: "picture thumb" });

/** The facts of a thing in one line: its labels and numbers. */
export function facts(thing) {
  const parts = [];
  for (const [field, modality] of shop.fields) {
    const value = thing.fields?.[field];
    if (value === null || value === undefined) continue;
    if (modality === "category") parts.push(...[value].flat().slice(0, 2));
    if (modality === "number" && parts.length) parts.push(number(Number([value].flat()[0]), 2));
  }
  return parts.slice(0, 3).join(" · ");
}

const colour = (kind) => `var(--c${COLOURS[kind] ?? 7})`;

/** Kinds of information and their parts, the largest first, those of one name added up. */
export function ordered(by) {
  const sums = new Map();
  for (const [name, value] of Object.entries(by ?? {})) {
    const kind = name.split(":")[0];
    sums.set(kind, (sums.get(kind) ?? 0) + value);
  }
  return [...sums].sort((a, b) => b[1] - a[1]);
}

/** A bar of the parts that speak for something, each as wide as its share. */
export function bar(by) {
  const parts = ordered(by).filter(([, value]) => value > 0);
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  return h(
    "span",
    { class: "parts", "aria-hidden": "true" },
    parts.map(([kind, value]) => h("i", { vars: { "--part": colour(kind), "--share": value / total } })),
  );
}

/** The same parts in words and numbers; what speaks against is counted in none. */
export function legend(by, least = 0.01) {
  const parts = ordered(by).filter(([, value]) => value > 0);
  const total = parts.reduce((sum, [, value]) => sum + value, 0);
  const shown = parts.filter(([, value]) => value / total >= least);
  return h(
    "ul",
    { class: "partnames" },
    shown.map(([kind, value]) =>
      h(
        "li",
        {},
        h("i", { class: "dot", vars: { "--part": colour(kind) } }),
        named("modality", kind),
        " ",
        percent(value / total),
      ),
    ),
  );
}

/** Titles as a list of at most `most`, quoted. */
export function titles(things, most = 2) {
  const shown = things.slice(0, most).map((thing) => t("quoted", { title: thing.title || thing.id }));
  const rest = things.length - shown.length;
  return said(shown.join(t("comma")) + (rest > 0 ? ` +${rest}` : ""));
}
