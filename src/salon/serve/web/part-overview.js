// How it goes right now: traffic, clicks, who answers, how fast, how old the model is.

import * as api from "./api.js";
import { key, lines, shares } from "./chart.js";
import { h, put, said } from "./dom.js";
import { ago, figures, named, number, percent, t } from "./i18n.js";
import { figureList, head, load, panel, wide } from "./panels.js";
import { nothing } from "./shell.js";

const EVERY = 5000;
/** Index of population stability that fills the bar; from 0.25 on something has moved. */
const DRIFT = 0.5;
const MOVED = { moving: "warn", moved: "warn" };

const last = (rows, name) =>
  rows.slice(-6, -1).reduce((sum, row) => sum + (row[name] ?? 0), 0) / Math.max(rows.slice(-6, -1).length, 1);

const byShare = (values) => Object.entries(values ?? {}).sort((a, b) => b[1] - a[1]);

/** The time of a whole answer. */
const whole = (stats) => stats.steps?.recommend;

function glance(stats) {
  const rows = stats.minutes;
  const times = whole(stats);
  return figureList([
    [t("overview.answers"), number(last(rows, "answers"), 1), t("overview.inAll", { count: stats.answered ?? 0 })],
    [
      t("overview.events"),
      number(last(rows, "events"), 1),
      t("overview.hour", { count: rows.reduce((sum, row) => sum + row.events, 0) }),
    ],
    [t("overview.clicks"), percent(stats.click_through, 1), t("overview.clicksNote")],
    [
      t("overview.latency"),
      times ? t("ms", { value: figures(times.p50) }) : "–",
      times && t("overview.slowest", { p95: figures(times.p95), p99: figures(times.p99) }),
    ],
    [t("overview.coverage"), percent(stats.coverage), t("overview.coverageNote")],
    [t("overview.age"), ago(Date.now() / 1000 - stats.model.age_seconds), said(stats.model.name)],
  ]);
}

function traffic(stats) {
  const rows = stats.minutes;
  const series = [
    { name: t("overview.seriesAnswers"), colour: "var(--c1)", values: rows.map((row) => row.answers ?? 0) },
    { name: t("overview.seriesEvents"), colour: "var(--c0)", values: rows.map((row) => row.events ?? 0) },
    { name: t("overview.seriesClicks"), colour: "var(--c2)", values: rows.map((row) => row.clicks ?? 0) },
  ];
  if (rows.length < 2)
    return wide(panel(t("overview.traffic"), nothing(t("overview.quiet"), t("overview.quietWords"))));
  const narrow = innerWidth < 640;
  return wide(
    panel(
      t("overview.traffic"),
      lines(
        rows.map((row) => row.time),
        series,
        t("overview.traffic"),
        narrow ? { width: 340, height: 190 } : { width: 1000, height: 230 },
      ),
      key(series),
    ),
  );
}

function sources(stats) {
  const rows = byShare(stats.sources).map(([name, share]) => ({
    name: named("source", name),
    share,
    words: percent(share),
    colour: name === "popular" ? "var(--c4)" : "var(--c1)",
  }));
  return panel(
    t("overview.sources"),
    rows.length ? shares(rows) : h("p", { class: "quiet" }, t("overview.noAnswers")),
    stats.fallbacks > 0 && h("p", { class: "quiet" }, t("overview.fallbacks", { share: percent(stats.fallbacks) })),
  );
}

function modalities(stats) {
  const rows = byShare(stats.modalities).map(([name, share]) => ({
    name: named("modality", name),
    share,
    words: percent(share),
    colour: "var(--c2)",
  }));
  return rows.length > 0 && panel(t("overview.modalities"), shares(rows));
}

function stages(stats) {
  const rows = Object.entries(stats.steps ?? {})
    .map(([name, times]) => [name, times.p50])
    .sort((a, b) => b[1] - a[1]);
  const most = rows.length ? rows[0][1] : 1;
  return (
    rows.length > 0 &&
    panel(
      t("overview.stages"),
      shares(
        rows.map(([name, ms]) => ({
          name: named("stage", name),
          share: ms / most,
          words: t("ms", { value: figures(ms) }),
          colour: "var(--c3)",
        })),
      ),
    )
  );
}

function drift(stats) {
  if (!stats.drift?.length) return null;
  return panel(
    t("overview.drift"),
    shares(
      stats.drift.map((one) => ({
        name: named("drift", one.name),
        share: one.psi / DRIFT,
        words: h(
          "span",
          {},
          figures(one.psi),
          " ",
          h("span", { class: `tag ${MOVED[one.verdict] ?? ""}` }, named("verdict", one.verdict)),
        ),
        colour: MOVED[one.verdict] ? "var(--c4)" : "var(--c7)",
      })),
    ),
    h("p", { class: "quiet" }, t("drift.words")),
  );
}

export async function show(place, { signal }) {
  const version = h("span", {});
  const contents = h("div", { class: "rows" });
  put(place, head(t("part.overview"), t("overview.words")), contents);
  const draw = (stats) => [
    glance(stats),
    traffic(stats),
    h("div", { class: "columns" }, sources(stats), modalities(stats), stages(stats), drift(stats)),
    h("p", { class: "quiet" }, t("overview.model"), " ", said(stats.model?.version ?? "–"), version),
  ];
  await load(contents, () => api.stats(signal), draw, "tall");
  const timer = setInterval(async () => {
    if (document.hidden || signal.aborted) return;
    try {
      put(contents, draw(await api.stats(signal)));
    } catch {
      // the numbers of a moment ago stay until the service answers again
    }
  }, EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
}
