// Scenarios: the places where recommendations are shown, each with rules of its own.

import * as api from "./api.js";
import { h, put, said } from "./dom.js";
import { t } from "./i18n.js";
import { NAME, button, edit, field, head, load, panel } from "./panels.js";
import { complain, nothing, sure } from "./shell.js";

const WORDS = ["filter", "booster"];
const NUMBERS = ["diversity", "exploration"];

function change(name, body, again) {
  const value = (key) => (body[key] === undefined || body[key] === null ? "" : String(body[key]));
  edit(
    name ? t("scenarios.edit") : t("scenarios.new"),
    [
      field(
        t("name"),
        "name",
        { ...NAME, value: name, ...(name ? { readonly: true } : {}) },
        name ? "" : t("scenarios.nameHint"),
      ),
      WORDS.map((key) =>
        field(t(`setting.${key}`), key, { value: value(key), spellcheck: "false" }, t(`setting.${key}Hint`)),
      ),
      h(
        "div",
        { class: "pair" },
        NUMBERS.map((key) =>
          field(
            t(`setting.${key}`),
            key,
            { type: "number", min: "0", max: "1", step: "0.05", value: value(key) },
            t(`setting.${key}Hint`),
          ),
        ),
      ),
    ],
    async (form) => {
      const fresh = { ...body };
      for (const key of [...WORDS, ...NUMBERS]) {
        const given = form.get(key).trim();
        if (given === "") delete fresh[key];
        else fresh[key] = NUMBERS.includes(key) ? Number(given) : given;
      }
      await api.scenarios.put(form.get("name").trim(), fresh);
      again();
    },
  );
}

function told(body) {
  return Object.entries(body)
    .filter(([, value]) => value && JSON.stringify(value) !== "{}" && JSON.stringify(value) !== "[]")
    .map(([key, value]) => `${key} = ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" · ");
}

export async function show(place) {
  const contents = h("div", { class: "rows" });
  const remove = async (name) => {
    if (!(await sure(t("remove"), t("scenarios.removeWords", { name }), t("remove")))) return;
    try {
      await api.scenarios.remove(name);
    } catch (error) {
      complain(error);
    }
    draw();
  };
  const draw = () =>
    load(contents, api.scenarios.all, (scenarios) => {
      const names = Object.keys(scenarios);
      if (!names.length) return panel("", nothing(t("scenarios.none"), t("scenarios.noneWords")));
      return panel(
        "",
        h(
          "div",
          {},
          names.map((name) =>
            h(
              "div",
              { class: "entry" },
              h("div", {}, h("h3", {}, said(name)), h("p", { class: "quiet" }, said(told(scenarios[name]) || "–"))),
              h(
                "div",
                { class: "doing" },
                button(t("edit"), () => change(name, scenarios[name], draw)),
                button(t("remove"), () => remove(name)),
              ),
            ),
          ),
        ),
      );
    });
  put(
    place,
    head(
      t("part.scenarios"),
      t("scenarios.words"),
      button(t("scenarios.new"), () => change("", {}, draw), "main"),
    ),
    contents,
  );
  await draw();
}
