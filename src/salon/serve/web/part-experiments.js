// Experiments: two or more ways to answer, told apart by what people do.

import * as api from "./api.js";
import { intervals } from "./chart.js";
import { h, put, said } from "./dom.js";
import { figures, named, number, percent, t } from "./i18n.js";
import { NAME, SERIES, button, choice, edit, field, head, load, panel, table } from "./panels.js";
import { nothing, sure, trouble } from "./shell.js";

const NUMBERS = ["diversity", "exploration"];
const SUCCESS = ["click", "like", "buy"];
const VERDICT = { better: "better", worse: "worse", "too few people": "few" };

/** One variant against the control, in words. */
function verdict(one, control) {
  const points = {
    points: figures(Math.abs(one.difference) * 100),
    low: figures(one.low * 100),
    high: figures(one.high * 100),
    against: control,
  };
  return h("p", {}, said(one.variant), ": ", t(`experiments.${VERDICT[one.verdict] ?? "open"}`, points));
}

function results(found) {
  const effects = found.effects.map((one, i) => ({
    name: one.variant,
    mean: one.difference,
    low: one.low,
    high: one.high,
    colour: SERIES[i + 1],
  }));
  return [
    found.ratio.wrong &&
      h("div", { class: "warning", role: "alert" }, t("experiments.ratio", { p: figures(found.ratio.p) })),
    table(
      t("experiments.rates"),
      [
        t("experiments.variant"),
        t("experiments.people"),
        t("experiments.answers"),
        t("experiments.successes"),
        t("experiments.rate"),
      ],
      found.variants.map((one) => [
        said(one.name),
        number(one.people),
        number(one.answers),
        number(one.successes),
        percent(one.rate, 1),
      ]),
    ),
    h("h3", {}, t("experiments.difference", { against: found.control })),
    intervals(effects, t("experiments.difference", { against: found.control }), {
      width: innerWidth < 640 ? 330 : 860,
      show: (value) => percent(value, 1),
      zero: true,
    }),
    found.effects.map((one) => verdict(one, found.control)),
    found.guardrails
      .filter((one) => one.harmed)
      .map((one) =>
        h(
          "div",
          { class: "warning" },
          t("experiments.harm", { variant: one.variant, kind: named("kind", one.metric) }),
        ),
      ),
    h("p", { class: "small" }, t("experiments.anytime")),
  ];
}

function settings(body) {
  return Object.entries(body.variants ?? {})
    .map(([name, one]) => {
      const told = Object.entries({ ...one.settings, ...(one.version && { version: one.version }) }).map(
        ([key, value]) => `${key} ${typeof value === "object" ? JSON.stringify(value) : value}`,
      );
      return `${name} ${percent(one.share)}${told.length ? ` (${told.join(", ")})` : ""}`;
    })
    .join(" · ");
}

function experiment(name, body, again) {
  const box = h("div", { class: "rows" });
  const running = body.state !== "stopped";
  const change = async (work, title, words) => {
    if (!(await sure(title, words, title))) return;
    try {
      await work();
    } catch (error) {
      put(box, trouble(error));
      return;
    }
    again();
  };
  load(
    box,
    () => api.experiments.results(name),
    (found) =>
      found.variants.some((one) => one.answers)
        ? results(found)
        : nothing(t("experiments.noData"), t("experiments.noDataWords")),
  );
  return h(
    "section",
    { class: "panel box" },
    h(
      "header",
      {},
      h("h2", { class: "h3" }, said(name)),
      h("span", { class: `tag ${running ? "good" : ""}` }, named("state", body.state ?? "running")),
      running &&
        button(t("experiments.stop"), () =>
          change(
            () => api.experiments.put(name, { ...body, state: "stopped" }),
            t("experiments.stop"),
            t("experiments.stopWords"),
          ),
        ),
      button(t("remove"), () => change(() => api.experiments.remove(name), t("remove"), t("experiments.removeWords"))),
    ),
    h(
      "p",
      { class: "quiet" },
      body.scenario ? [said(body.scenario), " · "] : "",
      body.success?.length ? body.success.map((kind) => named("kind", kind)).join(t("comma")) : t("experiments.likes"),
      " · ",
      said(settings(body)),
    ),
    box,
  );
}

function variantFields(i) {
  return h(
    "fieldset",
    {},
    h("legend", {}, t("experiments.variantNumber", { number: String(i + 1) })),
    h(
      "div",
      { class: "pair" },
      field(t("name"), `name-${i}`, {
        required: true,
        value: i ? t("experiments.idea") : t("experiments.control"),
        maxlength: "60",
      }),
      field(t("experiments.share"), `share-${i}`, {
        type: "number",
        min: "1",
        max: "100",
        required: true,
        value: "50",
      }),
    ),
    h(
      "div",
      { class: "pair" },
      NUMBERS.map((name) =>
        field(t(`setting.${name}`), `${name}-${i}`, { type: "number", min: "0", max: "1", step: "0.05" }),
      ),
      field(t("setting.booster"), `booster-${i}`, {}),
    ),
  );
}

function create(scenarioNames, again) {
  let count = 2;
  const variants = h("div", { class: "rows" }, variantFields(0), variantFields(1));
  edit(
    t("experiments.new"),
    [
      h(
        "div",
        { class: "pair" },
        field(t("name"), "name", NAME, t("scenarios.nameHint")),
        choice(t("experiments.scenario"), "scenario", [
          ["", t("experiments.everywhere")],
          ...scenarioNames.map((name) => [name, name]),
        ]),
        choice(t("experiments.metric"), "success", [
          ["", t("experiments.likes")],
          ...SUCCESS.map((kind) => [kind, named("kind", kind)]),
        ]),
      ),
      variants,
      button(t("experiments.add"), () => variants.append(variantFields(count++))),
    ],
    async (form) => {
      const bodies = {};
      const places = [...Array(count).keys()].filter((i) => form.get(`name-${i}`));
      const whole = places.reduce((sum, i) => sum + Number(form.get(`share-${i}`)), 0);
      for (const i of places) {
        const settings = {};
        for (const name of NUMBERS)
          if (form.get(`${name}-${i}`) !== "") settings[name] = Number(form.get(`${name}-${i}`));
        if (form.get(`booster-${i}`)) settings.booster = form.get(`booster-${i}`);
        bodies[form.get(`name-${i}`)] = {
          share: Math.floor((1e6 * Number(form.get(`share-${i}`))) / Math.max(whole, 100)) / 1e6,
          settings,
        };
      }
      await api.experiments.put(form.get("name"), {
        scenario: form.get("scenario"),
        success: form.get("success") ? [form.get("success")] : [],
        state: "running",
        variants: bodies,
      });
      again();
    },
  );
}

export async function show(place) {
  const contents = h("div", { class: "rows" });
  const draw = () =>
    load(
      contents,
      api.experiments.all,
      (experiments) => {
        const names = Object.keys(experiments);
        return names.length
          ? names.map((name) => experiment(name, experiments[name], draw))
          : panel("", nothing(t("experiments.none"), t("experiments.noneWords")));
      },
      "tall",
    );
  const start = async () => {
    const scenarios = await api.scenarios.all().catch(() => ({}));
    create(Object.keys(scenarios), draw);
  };
  put(
    place,
    head(t("part.experiments"), t("experiments.words"), button(t("experiments.new"), start, "main")),
    contents,
  );
  await draw();
}
