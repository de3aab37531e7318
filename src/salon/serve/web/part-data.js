// The report on the data: what is missing, broken, said twice, or little used.

import * as api from "./api.js";
import { shares } from "./chart.js";
import { h, put, said } from "./dom.js";
import { ago, figures, language, named, number, percent, t } from "./i18n.js";
import { figureList, head, load, panel, table, wide } from "./panels.js";
import { nothing } from "./shell.js";

const SHOWN = 12;

const meter = (share) =>
  h(
    "span",
    {},
    percent(share, share < 1 && share > 0.99 ? 1 : 0),
    h("i", { class: "meter", vars: { "--share": share } }),
  );

function completeness(report) {
  const rows = [...report.fields, ...report.features.map((one) => ({ ...one, vector: true }))];
  return wide(
    panel(
      t("data.fields"),
      table(
        t("data.fields"),
        [t("data.field"), t("data.holds"), t("data.filled"), t("data.distinct"), t("data.broken"), t("data.diversity")],
        rows.map((row) => [
          h(
            "span",
            {},
            row.vector ? named("modality", row.name) : said(row.name),
            " ",
            row.table === "users" && h("span", { class: "tag" }, t("data.ofPeople")),
          ),
          row.vector ? t("data.vector") : named("modality", row.modality),
          meter(row.share),
          number(row.distinct),
          row.broken ? h("span", { class: "tag warn" }, number(row.broken)) : "–",
          figures(row.diversity),
        ]),
      ),
    ),
  );
}

function agreements(report) {
  const rows = [...(report.agreements ?? [])].sort((a, b) => b.overlap - a.overlap).slice(0, SHOWN);
  return (
    rows.length > 0 &&
    wide(
      panel(
        t("data.agreements"),
        h("p", { class: "quiet" }, t("data.agreementsWords")),
        table(
          t("data.agreements"),
          [t("data.pair"), t("data.shared"), t("data.overlap"), t("data.chance")],
          rows.map((row) => [
            h("span", {}, named("modality", row.first), " × ", named("modality", row.second)),
            number(row.items),
            percent(row.overlap, 1),
            percent(row.chance, 1),
          ]),
        ),
      ),
    )
  );
}

function twins(report) {
  return (
    report.duplicates?.length > 0 &&
    panel(
      t("data.twins"),
      h(
        "ul",
        { class: "findings" },
        report.duplicates
          .slice(0, SHOWN)
          .map((one) =>
            h(
              "li",
              {},
              said(one.ids.slice(0, 6).join(", ")),
              " ",
              h("span", { class: "tag", translate: "no" }, one.field),
              " ",
              h("span", { class: "tag", translate: "no" }, one.kind),
            ),
          ),
      ),
    )
  );
}

function troubles(report) {
  const rows = Object.entries(report.problems ?? {}).slice(0, SHOWN);
  return (
    rows.length > 0 &&
    panel(
      t("data.problems"),
      h(
        "ul",
        { class: "findings" },
        rows.map(([words, count]) => h("li", {}, said(words), " ", h("b", {}, number(count)))),
      ),
    )
  );
}

function report(found) {
  const log = found.activity ?? {};
  const findings = found.sentences ?? found.findings;
  const coverage = Object.entries(found.coverage ?? {}).sort((a, b) => Number(b[0]) - Number(a[0]));
  return [
    figureList([
      [t("data.items"), number(found.items), t("data.untouched", { count: log.items_untouched ?? 0 })],
      [t("data.people"), number(found.users), t("data.few", { count: log.users_few ?? 0 })],
      [
        t("data.events"),
        number(log.events),
        log.repeated ? t("data.repeated", { share: percent(log.repeated, 1) }) : "",
      ],
      [t("data.findings"), number(findings.length), found.made ? ago(found.made) : ""],
    ]),
    wide(
      panel(
        t("data.findings"),
        findings.length
          ? h(
              "ul",
              { class: "findings" },
              findings.map((line) => h("li", {}, said(line))),
            )
          : nothing(t("data.clean")),
      ),
    ),
    completeness(found),
    h(
      "div",
      { class: "columns" },
      coverage.length > 0 &&
        panel(
          t("data.coverage"),
          shares(
            coverage.map(([count, items]) => ({
              name: t("data.modalities", { count: Number(count) }),
              share: items / found.items,
              words: number(items),
              colour: "var(--c2)",
            })),
          ),
        ),
      twins(found),
      troubles(found),
    ),
    agreements(found),
  ];
}

export async function show(place) {
  const contents = h("div", { class: "rows" });
  put(place, head(t("part.data"), t("data.words")), contents);
  await load(contents, () => api.quality(language), report, "tall");
}
