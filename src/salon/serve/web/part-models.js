// Models: which wins at what price, which versions there are, learning anew and going back.

import * as api from "./api.js";
import { intervals, scatter } from "./chart.js";
import { h, put, said } from "./dom.js";
import { ago, date, figures, named, t } from "./i18n.js";
import { SERIES, button, head, load, panel, table, wide } from "./panels.js";
import { complain, nothing, sure, tellAloud, toast } from "./shell.js";

const EVERY = 1500;
const JOBS = 5;
const JOB = { failed: "bad", done: "good" };
const STATE = { live: "good", failed: "bad", candidate: "warn" };

function comparison({ main, reference, rows }) {
  if (!rows.length)
    return panel(
      t("models.comparison"),
      nothing(t("models.noComparison"), [
        t("models.noComparisonWords"),
        " ",
        h("code", { translate: "no" }, "salon compare"),
      ]),
    );
  const sorted = [...rows]
    .sort((a, b) => (b.metrics[main]?.mean ?? 0) - (a.metrics[main]?.mean ?? 0))
    .map((row, i) => ({ ...row, colour: SERIES[i % SERIES.length] }));
  const metrics = [...new Set(sorted.flatMap((row) => Object.keys(row.metrics)))]
    .sort((a, b) => (a === main ? -1 : b === main ? 1 : 0))
    .slice(0, 5);
  const priced = sorted.filter(
    (row) => row.cost?.cpu_seconds !== null && row.cost?.cpu_seconds !== undefined && row.metrics[main]?.mean !== null,
  );
  const points = priced.map((row) => ({
    name: row.name,
    x: row.cost.cpu_seconds,
    y: row.metrics[main].mean,
    low: row.metrics[main].low,
    high: row.metrics[main].high,
    colour: row.colour,
    bold: row.name === reference,
  }));
  const narrow = innerWidth < 640;
  return [
    h(
      "div",
      { class: "columns" },
      panel(
        t("models.accuracy"),
        h("p", { class: "quiet" }, said(main), " · ", t("models.interval")),
        intervals(
          sorted
            .filter((row) => row.metrics[main]?.mean !== null)
            .map((row) => ({ name: row.name, ...row.metrics[main], colour: row.colour, bold: row.name === reference })),
          t("models.accuracy"),
          { width: narrow ? 330 : 500 },
        ),
      ),
      points.length > 1 &&
        panel(
          t("models.pareto"),
          h("p", { class: "quiet" }, t("models.paretoWords")),
          scatter(points, t("models.pareto"), {
            width: narrow ? 340 : 520,
            height: narrow ? 300 : 330,
            across: t("models.cpu"),
            up: main,
          }),
        ),
    ),
    wide(
      panel(
        t("models.all"),
        table(
          t("models.all"),
          [t("models.model"), ...metrics.map((name) => said(name)), t("models.fit"), t("models.ask")],
          sorted.map((row) => [
            h("span", {}, h("i", { class: "dot", vars: { "--part": row.colour } }), said(row.name)),
            ...metrics.map((name) =>
              h(
                "span",
                {},
                figures(row.metrics[name]?.mean),
                row.metrics[name]?.low !== null &&
                  row.metrics[name]?.low !== undefined &&
                  h(
                    "small",
                    {},
                    t("between", { low: figures(row.metrics[name].low), high: figures(row.metrics[name].high) }),
                  ),
              ),
            ),
            row.cost?.cpu_seconds ? t("seconds", { value: figures(row.cost.cpu_seconds) }) : "–",
            row.cost?.recommend_ms ? t("ms", { value: figures(row.cost.recommend_ms) }) : "–",
          ]),
        ),
      ),
    ),
  ];
}

/** What a version was learned from, and how it did beside the one before. */
function about(metrics) {
  const { judged } = metrics;
  return [
    metrics.model && said(metrics.model),
    ...["items", "people", "events"]
      .filter((name) => metrics[name] !== undefined)
      .map((name) => t(`models.${name}`, { count: metrics[name] })),
    judged?.enough &&
      t("models.judged", { mine: figures(judged.new), live: figures(judged.live), count: judged.questions }),
    judged && !judged.enough && t("models.unjudged"),
    metrics.error && said(`${metrics.error.message ?? ""} ${metrics.error.hint ?? ""}`),
  ]
    .filter(Boolean)
    .map((part, i) => [i ? " · " : "", part]);
}

function list(found, act) {
  const live = found.findIndex((one) => one.state === "live");
  return panel(
    t("models.versions"),
    found.length
      ? h(
          "div",
          {},
          found.map((one, i) =>
            h(
              "div",
              { class: "entry" },
              h(
                "div",
                {},
                h(
                  "h3",
                  {},
                  said(one.version),
                  h("span", { class: `tag ${STATE[one.state] ?? ""}` }, named("state", one.state)),
                ),
                h(
                  "p",
                  { class: "quiet" },
                  t("models.learned"),
                  " ",
                  h("time", { title: date(one.created) }, ago(one.created)),
                  one.activated ? [" · ", t("models.activated"), " ", ago(one.activated)] : "",
                ),
                h("p", { class: "quiet" }, about(one.metrics)),
              ),
              h(
                "div",
                { class: "doing" },
                one.state !== "live" &&
                  one.state !== "failed" &&
                  button(t("models.activate"), () => act(one, "activate")),
                i === live &&
                  found.some((other) => other.state === "retired") &&
                  button(t("models.rollback"), () => act(one, "rollback")),
              ),
            ),
          ),
        )
      : nothing(t("models.none")),
  );
}

/** How far a job is, as a bar that moves where nobody knows. */
function progress(job) {
  const share = job.detail.total ? job.detail.done / job.detail.total : null;
  return h("div", {
    class: share === null ? "progress unknown" : "progress",
    role: "progressbar",
    "aria-label": named("job", job.kind),
    "aria-valuemin": "0",
    "aria-valuemax": "100",
    "aria-valuenow": share === null ? null : String(Math.round(share * 100)),
    vars: { "--share": share ?? 0 },
  });
}

const ends = (error) => said(`${error.message ?? ""} ${error.hint ?? ""}`);

/** Jobs that run or failed, and the last few that ended well. */
function jobList(found) {
  const ended = found.filter((job) => job.state === "done").slice(0, 2);
  const shown = [...found.filter((job) => job.state !== "done"), ...ended].slice(0, JOBS);
  return shown.map((job) =>
    h(
      "div",
      { class: "entry" },
      h(
        "div",
        {},
        h(
          "h3",
          {},
          named("job", job.kind),
          h("span", { class: `tag ${JOB[job.state] ?? "warn"}` }, named("state", job.state)),
        ),
        h(
          "p",
          { class: "quiet" },
          job.state === "running" && job.detail.what && [said(job.detail.what), " · "],
          ago(job.ended ?? job.started),
          job.detail.error && [" · ", ends(job.detail.error)],
        ),
        job.state === "running" && progress(job),
      ),
    ),
  );
}

export async function show(place, { signal }) {
  const versionBox = h("div", {});
  const jobBox = h("div", {});
  const compareBox = h("div", { class: "rows" });
  const draw = () => load(versionBox, api.models.all, ({ versions }) => list(versions, act));
  let running = false;

  async function watch() {
    if (signal.aborted) return;
    const { jobs } = await api.jobs().catch(() => ({ jobs: [] }));
    if (signal.aborted) return;
    const now = jobs.some((job) => job.kind === "refit" && ["running", "waiting"].includes(job.state));
    const told = jobs.filter((job) => job.kind !== "update" || job.state === "failed");
    put(jobBox, told.length > 0 && panel(t("models.jobs"), h("div", {}, jobList(told))));
    if (running && !now) {
      tellAloud(t("models.refitDone"));
      draw();
    }
    running = now;
    if (now) setTimeout(watch, EVERY);
  }

  async function act(version, what) {
    const words = t(`models.${what}Words`, { version: version.version });
    if (!(await sure(t(`models.${what}`), words, t(`models.${what}`)))) return;
    try {
      const live = what === "rollback" ? await api.models.rollback() : await api.models.activate(version.version);
      toast(t("models.nowLive", { version: live.version }));
    } catch (error) {
      complain(error);
    }
    draw();
  }

  async function refit() {
    if (!(await sure(t("models.refit"), t("models.refitWords"), t("models.refit")))) return;
    try {
      await api.models.refit();
    } catch (error) {
      complain(error);
    }
    watch();
  }

  put(
    place,
    head(t("part.models"), t("models.words"), button(t("models.refit"), refit, "main")),
    jobBox,
    versionBox,
    compareBox,
  );
  watch();
  await Promise.all([draw(), load(compareBox, api.comparison, comparison, "tall")]);
}
