// The window: rows of things that follow what one says to them.

import * as api from "./api.js";
import { SIGN } from "./card.js";
import { choosePerson, face } from "./choosing.js";
import { h, put, said } from "./dom.js";
import { language, named, speak, t } from "./i18n.js";
import { icon } from "./icons.js";
import { thumb } from "./pictures.js";
import { shop } from "./reading.js";
import { knowThings } from "./reasons.js";
import { Results, searchForm } from "./searching.js";
import { Shelf } from "./shelf.js";
import { complain, enter, languages, leave, tellAloud, toast, trouble } from "./shell.js";
import { taste } from "./taste.js";
import { openThing } from "./thing.js";

const PAGE = 18;
const ROW = 14;
const PAST = 24;

const main = document.getElementById("main");
const shown = { answer: null, count: PAGE, turn: 0, results: null };
let home = null;

const view = {
  said: (id) => taste.said(id),
  say: (thing, kind, card) => say(thing, kind, card),
  open: (thing) => {
    taste.tell(thing, "click").then(past, () => null);
  },
};

knowThings(
  (id) => taste.history.find((event) => event.id === id) ?? home?.forYou.things.find((thing) => thing.id === id),
);

const ask = (more) => ({ user: taste.id, explained: true, language, fields: [...shop.fields.keys()], ...more });

/** Says something to a thing: the card answers at once, then the rows do. */
async function say(thing, kind, card) {
  card?.classList.add("going");
  try {
    const stored = await taste.say(thing, kind);
    for (const one of document.querySelectorAll(".card:not(.ghost)")) one.mood();
    past();
    const changed = await refresh();
    if (shown.results) await shown.results.look(shown.results.query);
    const words = stored ? t(`told.${kind}`, { title: thing.title }) : t("told.back", { title: thing.title });
    toast(changed ? `${words} ${t("told.new", { count: changed })}` : words, stored ? t("undo") : "", () =>
      undo(stored),
    );
  } catch (error) {
    complain(error, t("error.told"));
  }
  card?.classList.remove("going");
}

async function undo(event) {
  try {
    await taste.takeBack(event);
    past();
    await refresh();
    tellAloud(t("told.back", { title: event.title }));
  } catch (error) {
    complain(error);
  }
}

/** Asks for the row again; how many things in it are new. */
async function refresh() {
  const mine = ++shown.turn;
  try {
    const answer = await api.recommend(ask({ k: shown.count }));
    if (mine !== shown.turn) return 0;
    shown.answer = answer;
    const changed = await fillForYou(answer.items);
    rows();
    return changed;
  } catch (error) {
    if (mine === shown.turn) home.forYou.fail(error, start);
    return 0;
  }
}

async function fillForYou(items) {
  const { forYou } = home;
  hero();
  if (!items.length) {
    forYou.empty(t("row.none"), t("row.noneWords"));
    return 0;
  }
  const changed = await forYou.show(items);
  put(
    forYou.below,
    shown.answer.more !== false && h("button", { type: "button", class: "button", onclick: more }, t("row.more")),
  );
  return changed;
}

async function more(event) {
  const button = event.currentTarget;
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await api.nextPage(shown.answer.recommendation_id, PAGE);
    const here = home.forYou.things;
    const known = new Set(here.map((thing) => thing.id));
    const fresh = answer.items.filter((thing) => !known.has(thing.id));
    shown.answer = answer;
    shown.count = here.length + fresh.length;
    await fillForYou([...here, ...fresh]);
    tellAloud(t("told.new", { count: fresh.length }));
    home.forYou.list.children[here.length]?.querySelector(".open").focus({ preventScroll: true });
  } catch (error) {
    button.removeAttribute("aria-busy");
    complain(error);
  }
}

/** Who it is for, and what the service knows: said plainly, above all when it knows nothing. */
function hero() {
  const known = taste.history.length > 0;
  const sources = shown.answer?.items.map((item) => item.source) ?? [];
  const fallback = sources.length > 0 && sources.every((source) => source === "popular");
  const notes = fallback && !known ? [] : (shown.answer?.notes ?? []);
  put(
    home.hero,
    h("h1", {}, taste.isVisitor ? t("window.title") : [t("window.for"), t("space"), said(taste.id)]),
    h("p", {}, fallback && !known ? t("window.nobody") : taste.isVisitor ? t("window.visitor") : t("window.person")),
    notes.map((one) => h("div", { class: "notice" }, said(one))),
    home.past,
  );
}

/** The things that one did something with, newest first. */
function past() {
  const seen = new Set();
  const latest = taste.history.filter((event) => !seen.has(event.id) && seen.add(event.id)).slice(0, PAST);
  home.past.hidden = !latest.length;
  put(
    home.past,
    h("span", {}, t("window.past")),
    h(
      "ol",
      { "aria-label": t("window.past"), tabindex: "0" },
      latest.map((event) => {
        const kind = taste.said(event.id) || event.kind;
        return h(
          "li",
          {},
          h(
            "a",
            {
              href: `#/thing/${encodeURIComponent(event.id)}`,
              title: `${named("kind", kind)}: ${event.title}`,
              "aria-label": `${event.title}, ${named("kind", kind)}`,
            },
            thumb(event),
          ),
          SIGN[kind] && h("span", { class: `badge ${kind}` }, icon(SIGN[kind])),
        );
      }),
    ),
  );
}

/** The rows below: what is like the last thing liked, and what everybody likes. */
async function rows() {
  const { liked } = taste;
  const fill = async (shelf, answer) => {
    try {
      const { items } = await answer;
      shelf.element.hidden = !items.length;
      await shelf.show(items);
    } catch (error) {
      shelf.fail(error, rows);
    }
  };
  home.alike.element.hidden = !liked;
  if (liked) {
    put(home.alike.title, t("row.similar"), t("space"), said(t("quoted", { title: liked.title })));
    fill(home.alike, api.similar({ item: liked.id, user: taste.id, k: ROW, fields: [...shop.fields.keys()] }));
  }
  home.popular.element.hidden = !taste.history.length;
  if (taste.history.length && !home.popular.things.length) fill(home.popular, api.popular(ROW));
}

/** Everything for the person of now. */
async function start() {
  home = {
    hero: h("div", { class: "hero" }),
    past: h("div", { class: "past", hidden: true }),
    forYou: new Shelf(t("row.forYou"), view, "grid"),
    alike: new Shelf("", view),
    popular: new Shelf(t("row.popular"), view),
  };
  home.forYou.title.parentElement.classList.add("unseen");
  Object.assign(shown, { answer: null, count: PAGE, results: null });
  home.alike.element.hidden = true;
  home.popular.element.hidden = true;
  put(main, home.hero, home.forYou.element, home.alike.element, home.popular.element);
  home.forYou.wait(12);
  me();
  try {
    await taste.read(language);
    past();
  } catch (error) {
    home.forYou.fail(error, start);
    return;
  }
  await refresh();
}

function me() {
  const button = document.querySelector(".me");
  button.hidden = false;
  put(
    button,
    taste.isVisitor ? icon("person") : face(taste.id),
    taste.isVisitor ? h("span", {}, t("who.you")) : said(taste.id),
  );
  button.setAttribute("aria-label", `${t("who.title")} ${taste.isVisitor ? t("who.you") : taste.id}`);
  button.onclick = async () => {
    const chosen = await choosePerson();
    if (chosen === null) return;
    taste.become(chosen || undefined);
    location.hash = "";
    start();
  };
}

function endSearch() {
  if (!shown.results) return;
  shown.results = null;
  document.querySelector(".searching input").value = "";
  put(main, home.hero, home.forYou.element, home.alike.element, home.popular.element);
  if (location.hash) history.replaceState(null, "", location.pathname);
  document.querySelector(".searching input").focus();
}

function find(query) {
  if (!query.text && !query.file) return endSearch();
  if (!shown.results) {
    shown.results = new Results(view, endSearch);
    put(main, shown.results.element);
    scrollTo({ top: 0 });
  }
  history.replaceState(null, "", query.text ? `#/find/${encodeURIComponent(query.text)}` : "#/find");
  return shown.results.look(query);
}

/** Follows the address: a thing opens over what is there, words are searched for. */
async function route() {
  const [, place, id] = /^#\/(thing|find)\/(.+)$/s.exec(location.hash) ?? [];
  if (place !== "thing") {
    document.querySelectorAll("dialog.thing").forEach((dialog) => dialog.close());
    if (place === "find" && !shown.results) {
      document.querySelector(".searching input").value = decodeURIComponent(id);
      find({ text: decodeURIComponent(id) });
    }
    return;
  }
  document.querySelectorAll("dialog.thing").forEach((dialog) => dialog.close());
  const mine = location.hash;
  await openThing(decodeURIComponent(id), view);
  if (location.hash === mine)
    history.pushState(
      null,
      "",
      shown.results?.query.text ? `#/find/${encodeURIComponent(shown.results.query.text)}` : location.pathname,
    );
}

async function open() {
  put(main);
  await api.catalogue();
  document.title = `${t("window.title")} · salon`;
  searchForm(document.querySelector(".searching"), find, toast);
  await start();
  await route();
}

async function begin() {
  await speak();
  languages(() => (home ? open() : location.reload()));
  try {
    await enter(main);
    const button = document.querySelector(".leave");
    button.hidden = false;
    button.onclick = leave;
    await open();
  } catch (error) {
    put(
      main,
      trouble(error, () => location.reload()),
    );
  }
}

addEventListener("hashchange", route);
addEventListener("scroll", () => document.querySelector(".top").classList.toggle("moved", scrollY > 8), {
  passive: true,
});
begin();
