// Small drawings of numbers as SVG: lines over time, values with their intervals, accuracy against cost.

import { h, s, said } from "./dom.js";
import { clock, figures, number } from "./i18n.js";

const frame = (width, height, label, ...parts) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label }, parts);
const text = (x, y, words, more = {}) => s("text", { x, y, ...more }, words);

/** Round steps that divide 0..most into about `count`. */
function steps(most, count = 4) {
  if (!(most > 0)) return [0, 1];
  const raw = most / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((size) => size * power).find((size) => size >= raw);
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => i * step);
}

/** Lines over time. `series`: [{name, colour, values}], `times` in seconds. */
export function lines(times, series, label, { width = 720, height = 220 } = {}) {
  const [left, right, top, bottom] = [38, 8, 10, 26];
  const ticks = steps(Math.max(...series.flatMap((one) => one.values), 1));
  const x = (i) => left + (i / Math.max(times.length - 1, 1)) * (width - left - right);
  const y = (value) => height - bottom - (value / ticks.at(-1)) * (height - top - bottom);
  const path = (values) =>
    values.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const every = Math.max(1, Math.ceil(times.length / (width < 500 ? 3 : 6)));
  return frame(
    width,
    height,
    label,
    ticks.map((tick) => [
      s("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      text(left - 8, y(tick) + 4, number(tick, 1), { "text-anchor": "end" }),
    ]),
    times.map(
      (time, i) => i % every === 0 && text(x(i), height - 6, clock(time), { "text-anchor": i ? "middle" : "start" }),
    ),
    series.map((one, i) => [
      i === 0 &&
        s("path", {
          class: "area",
          d: `${path(one.values)}L${x(times.length - 1)} ${y(0)}L${x(0)} ${y(0)}Z`,
          fill: one.colour,
        }),
      s("path", { class: "line", d: path(one.values), stroke: one.colour }),
    ]),
  );
}

/** The names of series beside their colours. */
export const key = (series) =>
  h(
    "ul",
    { class: "legend" },
    series.map((one) => h("li", {}, h("i", { class: "dot", vars: { "--part": one.colour } }), one.name)),
  );

/** Values with intervals, one below the other. `rows`: [{name, mean, low, high, colour, bold}]; `zero` draws a line at 0. */
export function intervals(rows, label, { width = 560, show = figures, zero = false } = {}) {
  const [left, right, line] = [Math.min(170, width * 0.36), 64, 34];
  const low = Math.min(...rows.map((row) => row.low ?? row.mean), zero ? 0 : Infinity);
  const high = Math.max(...rows.map((row) => row.high ?? row.mean), zero ? 0 : -Infinity);
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  const x = (value) => left + ((value - low + pad) / (high - low + 2 * pad)) * (width - left - right);
  const height = rows.length * line + 8;
  return frame(
    width,
    height,
    label,
    zero && s("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: height }),
    rows.map((row, i) => {
      const y = i * line + line / 2 + 4;
      return [
        s("line", { class: "rule", x1: left, x2: width - right, y1: y, y2: y }),
        text(0, y + 4, row.name, { class: row.bold ? "bold" : "name", translate: "no" }),
        row.low !== null &&
          row.low !== undefined &&
          s("line", { class: "range", x1: x(row.low), x2: x(row.high), y1: y, y2: y, stroke: row.colour }),
        s("circle", { cx: x(row.mean), cy: y, r: 6, fill: row.colour }),
        text(width, y + 4, show(row.mean), { "text-anchor": "end", class: "value" }),
      ];
    }),
  );
}

/** Places of those that no other beats, by rising cost. */
function pareto(points) {
  const front = [];
  const order = [...points.keys()].sort((a, b) => points[a].x - points[b].x || points[b].y - points[a].y);
  for (const i of order) if (!front.length || points[i].y > points[front.at(-1)].y) front.push(i);
  return front;
}

/** Heights of names pushed apart where they would cover each other. */
function apart(spots, line = 16, reach = 110) {
  const moved = spots.map((spot) => ({ ...spot }));
  for (let turn = 0; turn < 60; turn++) {
    for (const [i, a] of moved.entries()) {
      for (const b of moved.slice(0, i)) {
        const gap = a.y - b.y;
        if (Math.abs(a.x - b.x) >= reach || Math.abs(gap) >= line) continue;
        const push = ((line - Math.abs(gap)) / 2) * (gap >= 0 ? 1 : -1);
        a.y += push;
        b.y -= push;
      }
    }
  }
  return moved;
}

/** Accuracy over cost, cost logarithmic, the best trade-offs joined. `points`: [{name, x, y, low, high, colour, bold}]. */
export function scatter(points, label, { width = 640, height = 340, across = "", up = "" } = {}) {
  const [left, right, top, bottom] = [52, 12, 26, 46];
  const ticks = steps(Math.max(...points.map((point) => point.high ?? point.y)));
  const logs = points.map((point) => Math.log10(Math.max(point.x, 1e-4)));
  const [least, most] = [Math.min(...logs) - 0.15, Math.max(...logs) + (width < 500 ? 1 : 0.7)];
  const x = (value) => left + ((Math.log10(Math.max(value, 1e-4)) - least) / (most - least)) * (width - left - right);
  const y = (value) => height - bottom - (value / ticks.at(-1)) * (height - top - bottom);
  const powers = [];
  for (let power = Math.ceil(least); power <= most; power++) powers.push(10 ** power);
  const front = pareto(points).map((i) => points[i]);
  const stairs =
    front.map((point, i) => (i ? `H${x(point.x)}V${y(point.y)}` : `M${x(point.x)} ${y(point.y)}`)).join("") +
    `H${width - right}`;
  const spots = points.map((point) => ({ x: x(point.x), y: y(point.y) }));
  const names = apart(spots);
  return frame(
    width,
    height,
    label,
    ticks.map((tick) => [
      s("line", { class: "rule", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      text(left - 8, y(tick) + 4, figures(tick), { "text-anchor": "end" }),
    ]),
    powers.map((power) => text(x(power), height - bottom + 18, figures(power), { "text-anchor": "middle" })),
    text(left, 12, up, { class: "bold", translate: "no" }),
    text(left, height - 6, across),
    s("path", { class: "stairs", d: stairs }),
    points.map((point, i) => [
      point.low !== null &&
        point.low !== undefined &&
        s("line", {
          class: "range",
          x1: spots[i].x,
          x2: spots[i].x,
          y1: y(point.low),
          y2: y(point.high),
          stroke: point.colour,
        }),
      s("circle", { cx: spots[i].x, cy: spots[i].y, r: 6.5, fill: point.colour }),
    ]),
    points.map((point, i) => [
      Math.abs(names[i].y - spots[i].y) > 5 &&
        s("path", { class: "lead", d: `M${spots[i].x} ${spots[i].y}L${spots[i].x + 9} ${names[i].y}` }),
      text(spots[i].x + 11, names[i].y + 4, point.name, { class: point.bold ? "bold" : "name", translate: "no" }),
    ]),
  );
}

/** Shares of a whole as named bars. `rows`: [{name, share, words, colour}]. */
export const shares = (rows) =>
  h(
    "ul",
    { class: "shares" },
    rows.map((row) =>
      h(
        "li",
        {},
        h("span", {}, row.said ? said(row.name) : row.name),
        h("b", {}, row.words),
        h("i", { vars: { "--share": Math.max(0, Math.min(1, row.share ?? 0)), "--part": row.colour ?? "var(--c1)" } }),
      ),
    ),
  );
