// Every call that the pages make. Addresses are relative to the page, so that a proxy may put it below a path.

import * as read from "./reading.js";

/** What the server said against a call: words for people, and what they can do. */
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || String(status));
    this.status = status;
    this.code = problem.code ?? "";
    this.hint = problem.hint ?? "";
    this.request = problem.request_id ?? "";
  }
}

/** People who are listed; others are reached by their whole name. */
const PEOPLE = 1000;

const DROPPED = { status: 0, code: "offline" };

async function call(method, path, body, signal) {
  const form = body instanceof FormData;
  const request = { method, signal, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.body = form ? body : JSON.stringify(body);
    if (!form) request.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(DROPPED.status, { code: DROPPED.code });
  }
  const text = await answer.text();
  const plain = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : {};
  if (answer.status === 401 && path !== "v1/session") location.reload(); // the sign-in has ended: the page asks again
  if (!answer.ok) throw new Refusal(answer.status, plain);
  return plain;
}

const get = (path, query = {}, signal = undefined) => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const tail = new URLSearchParams(given).toString();
  return call("GET", tail ? `${path}?${tail}` : path, undefined, signal);
};
const post = (path, body = {}, signal = undefined) => call("POST", path, body, signal);
const at = (path, id) => `${path}/${encodeURIComponent(id)}`;

/** The address of a medium; `width` asks for a smaller picture. */
export const medium = (address, width = 0) =>
  width ? `${address}${address.includes("?") ? "&" : "?"}width=${width}` : address;

export const session = {
  now: () => get("v1/session"),
  open: (key) => post("v1/session", { key }),
  close: () => call("DELETE", "v1/session"),
};

export const catalogue = () => get("v1/catalogue").then(read.readCatalogue);
export const recommend = (ask) => post("v1/recommend", ask).then(read.answer);
export const nextPage = (id, k) => post("v1/recommend/next", { recommendation_id: id, k }).then(read.answer);
export const similar = (ask) => post("v1/similar", ask).then(read.alike);
export const popular = (k) => get("v1/popular", { k }).then(read.answer);
export const explain = (ask) => post("v1/explain", ask);
export const item = (id) => get(at("v1/items", id)).then(read.thing);
export const users = () => get("v1/users", { n: PEOPLE });
export const person = (user, k, language) => get("v1/people", { user, k, language }).then(read.person);

/** Search by words, or by a file of the modality `kind`. */
export function search(ask, file, kind, signal) {
  if (!file) return post("v1/search", ask, signal).then(read.found);
  const form = new FormData();
  for (const [name, value] of Object.entries(ask)) if (name !== "fields") form.append(name, value);
  form.append(kind, file, file.name);
  return post("v1/search", form, signal).then(read.found);
}

/** Tells what somebody did; its event id lets it be taken back. */
export async function tell(event) {
  const { results } = await post("v1/events", { events: [event] });
  const [result] = results;
  if (result.status === "rejected") throw new Refusal(422, { ...result.error, detail: result.error.message });
  return result.id;
}
export const takeBack = (event) => call("DELETE", `v1/events?event_id=${encodeURIComponent(event)}`);

export const stats = (signal) => get("v1/stats", {}, signal).then(read.stats);
export const quality = (language) => get("v1/quality", { language });
export const map = () => get("v1/map").then(read.map);
export const comparison = () => get("v1/comparison").then(read.comparison);
export const audit = () => get("v1/audit");
export const jobs = () => get("v1/jobs");

export const models = {
  all: () => get("v1/models"),
  activate: (version) => post("v1/models/activate", { version }),
  rollback: () => post("v1/models/rollback"),
  refit: () => post("v1/models/refit"),
};

const named = (path) => ({
  all: () => get(path),
  put: (name, body) => call("PUT", at(path, name), body),
  remove: (name) => call("DELETE", at(path, name)),
});
export const scenarios = named("v1/scenarios");
export const experiments = {
  ...named("v1/experiments"),
  results: (name) => get("v1/experiment-results", { name }).then(read.results),
};
export const keys = {
  all: () => get("v1/keys"),
  add: (name, scopes) => post("v1/keys", { name, scopes }),
  revoke: (prefix) => call("DELETE", at("v1/keys", prefix)),
};
