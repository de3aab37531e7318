// Looking for things by words, by a picture, by a sound or a film, with or without one's own taste.

import * as api from "./api.js";
import { h, kept, paused, put, said } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { shop } from "./reading.js";
import { Shelf } from "./shelf.js";
import { taste } from "./taste.js";

const FOUND = 24;
const ACCEPTED = { image: "image/*", audio: "audio/*", video: "video/*" };

/** The modality of a file, or "" where it is none that can be searched with. */
const kindOf = (file) => Object.keys(ACCEPTED).find((kind) => file.type.startsWith(`${kind}/`)) ?? "";

/** The form at the top. `find({text, file, kind})` is called with what to look for; without anything to end the search. */
export function searchForm(form, find, wrong) {
  const words = h("input", {
    type: "search",
    name: "q",
    autocomplete: "off",
    enterkeyhint: "search",
    "aria-label": t("search.label"),
    placeholder: t(innerWidth < 480 ? "search.short" : "search.hint"),
  });
  const take = (file) => {
    const kind = kindOf(file);
    if (!shop.search.includes(kind)) return wrong(t("search.unreadable", { name: file.name }));
    words.value = "";
    return find({ file, kind });
  };
  const picker = (kind, name) => {
    if (!shop.search.includes(kind)) return null;
    const input = h("input", {
      type: "file",
      accept: ACCEPTED[kind],
      hidden: true,
      "data-kind": kind,
      tabindex: "-1",
      onchange: () => {
        if (input.files[0]) take(input.files[0]);
        input.value = "";
      },
    });
    return [
      h(
        "button",
        { type: "button", class: "round", title: t(name), "aria-label": t(name), onclick: () => input.click() },
        icon(kind === "image" ? "picture" : kind === "audio" ? "sound" : "film"),
      ),
      input,
    ];
  };
  put(
    form,
    icon("search"),
    words,
    picker("image", "search.picture"),
    picker("audio", "search.sound"),
    picker("video", "search.film"),
  );
  const go = () => find({ text: words.value.trim() });
  form.onsubmit = (event) => {
    event.preventDefault();
    go();
  };
  words.addEventListener("input", paused(go, 350));
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !words.value) return;
    event.preventDefault();
    words.value = "";
    go();
  });
  dropping(take);
  form.hidden = false;
  return words;
}

/** Files may be dropped anywhere on the page. */
function dropping(take) {
  let depth = 0;
  const shown = (on) => document.body.classList.toggle("dropping", on);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.ondragenter = (event) => hasFiles(event) && shown(++depth > 0);
  document.ondragleave = (event) => hasFiles(event) && shown(--depth > 0);
  document.ondragover = (event) => hasFiles(event) && event.preventDefault();
  document.ondrop = (event) => {
    depth = 0;
    shown(false);
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
}

/** A small look at what is searched with. */
function preview(query) {
  if (query.kind !== "image") return h("span", { class: "round" }, icon(query.kind === "audio" ? "sound" : "film"));
  const canvas = h("canvas", { width: 128, height: 128, role: "img", "aria-label": query.file.name });
  createImageBitmap(query.file).then(
    (bitmap) => {
      const side = Math.min(bitmap.width, bitmap.height);
      canvas
        .getContext("2d")
        .drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, 128, 128);
    },
    () => canvas.remove(),
  );
  return canvas;
}

/** The page of what was found; `end` leaves it. */
export class Results {
  constructor(view, end) {
    this.end = end;
    this.query = {};
    this.last = null;
    this.shelf = new Shelf("", view, "grid");
    this.taste = h("input", {
      type: "checkbox",
      role: "switch",
      checked: kept.get("taste") !== "no",
      onchange: () => {
        kept.set("taste", this.taste.checked ? "yes" : "no");
        this.look(this.query);
      },
    });
    this.picture = h("div", { class: "preview" });
    this.element = this.shelf.element;
    this.element.classList.add("results");
    this.element.firstElementChild.prepend(this.picture);
    this.element.firstElementChild.append(
      h(
        "div",
        { class: "query" },
        h("label", { class: "switch" }, this.taste, h("span", {}, t("search.taste"))),
        h("button", { type: "button", class: "button", onclick: this.end }, icon("close"), t("search.end")),
      ),
    );
  }

  #heading() {
    const { text, file } = this.query;
    put(
      this.shelf.title,
      text ? [t("search.for"), t("space"), said(t("quoted", { title: text }))] : t(`search.like.${this.query.kind}`),
    );
    this.taste.closest("label").hidden = !taste.history.length;
    this.picture.hidden = !file;
    put(this.picture, file && preview(this.query));
  }

  /** Searches; only the last of several questions is answered. */
  async look(query) {
    this.query = query;
    this.last?.abort();
    this.last = new AbortController();
    this.#heading();
    if (!this.shelf.things.length) this.shelf.wait(12);
    const ask = {
      k: FOUND,
      ...(query.text ? { text: query.text } : {}),
      ...(this.taste.checked && taste.history.length ? { user: taste.id } : {}),
      fields: [...shop.fields.keys()],
    };
    try {
      const { items } = await api.search(ask, query.file, query.kind, this.last.signal);
      put(this.shelf.below);
      if (!items.length) return this.shelf.empty(t("search.none"), t("search.try"));
      await this.shelf.show(items);
      put(
        this.shelf.words,
        query.file ? [said(query.file.name), " · "] : null,
        t("search.count", { count: items.length }),
      );
    } catch (error) {
      if (error.name !== "AbortError") this.shelf.fail(error, () => this.look(query));
    }
    return null;
  }
}
