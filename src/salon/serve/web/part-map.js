// The catalogue in the plane: what is near looks, sounds and reads alike.

import * as api from "./api.js";
import { h, hash, put, said } from "./dom.js";
import { number, t } from "./i18n.js";
import { icon } from "./icons.js";
import { SERIES, head, load, panel } from "./panels.js";
import { picture } from "./pictures.js";
import { shop } from "./reading.js";
import { ScatterMap } from "./scatter-map.js";
import { nothing, tellAloud } from "./shell.js";

const PEEK = { width: 168, height: 200 };

/** A thing of the map as the pictures of the pages expect it. */
function asThing(item) {
  const field = [...shop.fields].find(([, modality]) => modality === "image")?.[0] ?? "image";
  return { id: item.id, title: item.title, media: item.image ? { [field]: item.image } : {} };
}

/** Labels by how many things have them, none at the end; those for which no colour is left are grey. */
function labels(items) {
  const counts = new Map();
  for (const item of items) counts.set(item.label, (counts.get(item.label) ?? 0) + 1);
  return [...counts].sort(([a, many], [b, more]) => !a - !b || more - many);
}

function legend(counts, colourOf, map) {
  return h(
    "ul",
    { class: "legend" },
    counts.map(([label, count]) => {
      const toggle = h(
        "button",
        {
          type: "button",
          "aria-pressed": "true",
          onclick: () => {
            const shown = map.hidden.delete(label);
            if (!shown) map.hidden.add(label);
            toggle.setAttribute("aria-pressed", String(shown));
            map.draw();
          },
        },
        h("i", { class: "dot", vars: { "--part": `var(${colourOf(label)})` } }),
        label ? said(label) : t("map.unlabelled"),
        h("span", { class: "unseen" }, ` ${number(count)}`),
      );
      return h("li", {}, toggle);
    }),
  );
}

function draw(found, tools, signal) {
  if (!found.items.length) return panel("", nothing(t("map.none"), t("map.noneWords")));
  const counts = labels(found.items);
  const places = new Map(counts.map(([label], i) => [label, i]));
  const colourOf = (label) => (label && SERIES[places.get(label)] ? SERIES[places.get(label)].slice(4, -1) : "--c7");
  const canvas = h("canvas", {
    tabindex: "0",
    role: "img",
    "aria-label": t("map.label", { count: found.items.length }),
  });
  const peek = h("div", { class: "peek box", hidden: true });
  const box = h("div", { class: "mapbox box" }, canvas, peek);
  const point = (item, at) => {
    peek.hidden = !item;
    if (!item) return;
    put(
      peek,
      picture(asThing(item), { width: 320 }),
      h("p", {}, h("b", {}, said(item.title || item.id)), said(item.label)),
    );
    peek.style.left = `${Math.min(Math.max(at[0] + 16, 8), box.clientWidth - PEEK.width - 8)}px`;
    peek.style.top = `${Math.min(Math.max(at[1] - 90, 8), box.clientHeight - PEEK.height - 8)}px`;
  };
  const map = new ScatterMap(canvas, found.items, colourOf, point);
  signal.addEventListener("abort", () => map.end());
  const zoom = (name, factor, words) =>
    h(
      "button",
      { type: "button", class: "round", "aria-label": t(words), title: t(words), onclick: () => map.zoom(factor) },
      icon(name),
    );
  box.append(
    h(
      "div",
      { class: "zooms" },
      zoom("plus", 1.6, "map.in"),
      zoom("minus", 1 / 1.6, "map.out"),
      zoom("home", 1e-9, "map.whole"),
    ),
  );
  const named = h(
    "div",
    { class: "named" },
    h("span", { class: "quiet" }, t("map.by"), " ", said(found.label || "–")),
    legend(counts, colourOf, map),
  );
  put(tools, finder(found.items, map));
  return [named, box];
}

/** Finds a thing on the map by its title: the way in for people who do not point. */
function finder(items, map) {
  const id = `map-${hash(items[0].id)}`;
  const box = h("input", { class: "input", type: "search", id: "on-map", list: id, autocomplete: "off" });
  const find = () => {
    const wanted = box.value.trim().toLowerCase();
    const item =
      wanted && items.find((one) => one.title.toLowerCase().includes(wanted) || one.id.toLowerCase() === wanted);
    if (!item) return;
    map.goTo(item);
    tellAloud(t("map.found", { title: item.title, label: item.label }));
  };
  box.addEventListener("change", find);
  return h(
    "form",
    {
      class: "finder",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        find();
      },
    },
    h("div", { class: "field" }, h("label", { for: "on-map" }, t("map.find")), box),
    h(
      "datalist",
      { id },
      items.slice(0, 400).map((item) => h("option", { value: item.title || item.id })),
    ),
  );
}

export async function show(place, { signal }) {
  const contents = h("div", { class: "rows" });
  const tools = h("div", {});
  put(place, head(t("part.map"), t("map.words"), tools), contents);
  await load(contents, api.map, (found) => draw(found, tools, signal), "tall");
}
