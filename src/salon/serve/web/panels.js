// The pieces that the parts of the studio are built of.

import { h, put } from "./dom.js";
import { t } from "./i18n.js";
import { showDialog, shutButton, trouble } from "./shell.js";

export const SERIES = [0, 1, 2, 3, 4, 5, 6, 8, 9].map((i) => `var(--c${i})`);

export const head = (title, words, ...doing) =>
  h(
    "div",
    { class: "head" },
    h("div", {}, h("h1", {}, title), h("p", {}, words)),
    doing.length > 0 && h("div", { class: "doing" }, doing),
  );

export const panel = (title, ...children) =>
  h("section", { class: "panel box" }, title && h("header", {}, h("h2", { class: "h3" }, title)), children);

export const wide = (element) => {
  element.classList.add("wide");
  return element;
};

/** Numbers at a glance. `rows`: [name, value, note]. */
export const figureList = (rows) =>
  h(
    "dl",
    { class: "figures", vars: { "--columns": rows.length % 4 ? 3 : 4 } },
    rows.map(([name, value, note]) =>
      h("div", {}, note && h("small", {}, note), h("dd", {}, value), h("dt", {}, name)),
    ),
  );

/** A table that scrolls by itself where it is too wide. `head` and cells are text or elements. */
export const table = (label, heads, rows) =>
  h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((name) => h("th", { scope: "col" }, name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(([first, ...cells]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, first),
            cells.map((cell) => h("td", {}, cell)),
          ),
        ),
      ),
    ),
  );

export const waiting = (name = "") => h("div", { class: `skeleton waiting ${name}`, "aria-hidden": "true" });

export const button = (words, run, kind = "") =>
  h("button", { type: "button", class: `button ${kind}`, onclick: run }, words);

/** Fills a place with what a call answers: grey until it does, the trouble if it fails. */
export async function load(place, call, show, tall = "") {
  if (!place.children.length) put(place, waiting(tall));
  place.setAttribute("aria-busy", "true");
  try {
    put(place, show(await call()));
  } catch (error) {
    if (error.name !== "AbortError")
      put(
        place,
        trouble(error, () => load(place, call, show, tall)),
      );
  }
  place.removeAttribute("aria-busy");
}

/** A form in a dialog; `save` gets its FormData, and the dialog closes when it succeeds. */
export function edit(title, contents, save) {
  const dialog = h("dialog", { class: "edit sheet", "aria-label": title });
  const problem = h("div", {});
  const form = h(
    "form",
    {
      class: "form",
      async onsubmit(event) {
        event.preventDefault();
        try {
          await save(new FormData(form));
          dialog.close();
        } catch (error) {
          put(problem, trouble(error));
        }
      },
    },
    h("h2", {}, title),
    contents,
    problem,
    h(
      "div",
      { class: "doing" },
      button(t("cancel"), () => dialog.close(), "plain"),
      h("button", { class: "button main" }, t("save")),
    ),
  );
  put(dialog, shutButton(dialog), form);
  return showDialog(dialog);
}

/** What names of scenarios and experiments may be. */
export const NAME = { required: true, maxlength: "100", pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*" };

let serial = 0;

/** A named input; `more` are its attributes. */
export function field(label, name, more = {}, note = "") {
  const id = `field-${++serial}`;
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { class: "input", id, name, ...more }),
    note && h("small", {}, note),
  );
}

/** A named choice. `options`: [[value, words]]. */
export function choice(label, name, options, value = "") {
  const id = `field-${++serial}`;
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h(
      "select",
      { class: "input", id, name },
      options.map(([key, words]) => h("option", { value: key, selected: key === value }, words)),
    ),
  );
}
