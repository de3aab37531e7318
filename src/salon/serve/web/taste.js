// Whom the window is for, and what they did so far. Nobody is a fresh visitor, known from the first thing they like.

import * as api from "./api.js";
import { SAYINGS } from "./card.js";
import { kept } from "./dom.js";

const HISTORY = 40;

/** Somebody of whom the service has not heard yet has no history. */
function unknown(error) {
  if (error.status !== 404) throw error;
  return { history: [], fields: {} };
}

const visitor = () => `visitor-${crypto.randomUUID?.() ?? Math.random().toString(36).slice(2)}`;

export const taste = {
  id: kept.get("person") || visitor(),
  /** What they did, newest first: {id, title, media, kind, event_id}. */
  history: [],
  /** Who they are, from the shop's tables. */
  fields: {},

  get isVisitor() {
    return this.id.startsWith("visitor-");
  },

  become(id = visitor()) {
    this.id = id;
    kept.set("person", id.startsWith("visitor-") ? "" : id);
    this.history = [];
    this.fields = {};
  },

  /** Reads the history of a person; a visitor who has done nothing is not known to the service yet. */
  async read(language) {
    if (kept.get("person") !== this.id) return;
    const { history, fields } = await api.person(this.id, 1, language).catch(unknown);
    this.history = history.slice(0, HISTORY);
    this.fields = fields ?? {};
  },

  /** What they last said of a thing: "like", "dislike", "not_interested" or "". */
  said(id) {
    return this.history.find((event) => event.id === id && SAYINGS.includes(event.kind))?.kind ?? "";
  },

  get liked() {
    return this.history.find((event) => event.kind === "like");
  },

  /** Tells the service; says the same again to take it back. The event that was stored, or null. */
  async say(thing, kind) {
    const before = this.history.find((event) => event.id === thing.id && SAYINGS.includes(event.kind));
    if (before) await this.takeBack(before);
    if (before?.kind === kind) return null;
    return this.tell(thing, kind);
  },

  async tell(thing, kind) {
    const event = { user: this.id, item: thing.id, kind };
    if (thing.answer) event.recommendation_id = thing.answer;
    const stored = { id: thing.id, title: thing.title, media: thing.media, kind, event_id: await api.tell(event) };
    this.history.unshift(stored);
    kept.set("person", this.id);
    return stored;
  },

  async takeBack(event) {
    await api.takeBack(event.event_id);
    this.history = this.history.filter((other) => other !== event);
  },
};
