// Who to be: a known person, found by name, or nobody yet.

import * as api from "./api.js";
import { h, hash, put, said } from "./dom.js";
import { t } from "./i18n.js";
import { showDialog, shutButton, trouble } from "./shell.js";

export const face = (id) =>
  h(
    "span",
    { class: "face", vars: { "--hue": hash(id) % 360 }, "aria-hidden": "true", translate: "no" },
    /\d\d$/.test(id) ? id.slice(-2) : [...id][0].toUpperCase(),
  );

const about = (person) =>
  Object.values(person.fields ?? {})
    .flat()
    .slice(0, 2)
    .join(" · ");

const SHOWN = 60;

/** Asks who to be: an id, "" for nobody, or null where the reader changed nothing. */
export function choosePerson() {
  const found = h("ul", { class: "found" });
  const box = h("input", {
    class: "input",
    type: "search",
    id: "who",
    autocomplete: "off",
    placeholder: t("who.hint"),
  });
  const dialog = h("dialog", { class: "choosing sheet", "aria-label": t("who.title") });
  put(
    dialog,
    shutButton(dialog),
    h("h2", {}, t("who.title")),
    h("p", { class: "quiet" }, t("who.words")),
    h("label", { class: "unseen", for: "who" }, t("who.hint")),
    box,
    found,
  );
  let chosen = null;
  const choose = (id) => {
    chosen = id;
    dialog.close();
  };
  let people = null;
  const list = async () => {
    try {
      people ??= await api.users();
      const wanted = box.value.trim();
      const fits = people.users
        .filter((person) => person.id.toLowerCase().includes(wanted.toLowerCase()))
        .slice(0, SHOWN);
      const exact = !wanted || fits.some((person) => person.id === wanted);
      put(
        found,
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => choose("") },
            h("span", { class: "face", vars: { "--hue": 30 } }, "＋"),
            h("span", {}, t("who.nobody")),
          ),
        ),
        fits.map((person) =>
          h(
            "li",
            {},
            h(
              "button",
              { type: "button", onclick: () => choose(person.id) },
              face(person.id),
              said(person.id),
              h("small", {}, said(about(person))),
            ),
          ),
        ),
        !exact &&
          h(
            "li",
            {},
            h(
              "button",
              { type: "button", onclick: () => choose(wanted) },
              face(wanted),
              h("span", {}, t("who.exactly"), t("space"), said(wanted)),
            ),
          ),
      );
    } catch (error) {
      put(found, h("li", {}, trouble(error, list)));
    }
  };
  box.addEventListener("input", list);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    const [nobody, first] = found.querySelectorAll("button");
    const target = event.key === "Enter" && first ? first : nobody;
    if (event.key === "Enter") target?.click();
    else target?.focus();
  });
  found.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = [...found.querySelectorAll("button")];
    (buttons[buttons.indexOf(document.activeElement) + step] ?? box).focus();
  });
  showDialog(dialog);
  box.focus();
  list();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(chosen)));
}
