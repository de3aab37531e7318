// One person: what they did, and what they would be shown now, with why.

import * as api from "./api.js";
import { h, put, said } from "./dom.js";
import { ago, date, language, named, t } from "./i18n.js";
import { head, load, panel } from "./panels.js";
import { bar, legend, thumb } from "./pictures.js";
import { complain, nothing, sure } from "./shell.js";

const SHOWN = 12;

const KIND = { like: "good", buy: "good", dislike: "bad", not_interested: "bad" };

function event(one, forget) {
  return h(
    "li",
    {},
    thumb(one),
    h(
      "div",
      {},
      said(one.title || one.id),
      h(
        "span",
        { class: `tag ${KIND[one.kind] ?? ""}` },
        named("kind", one.kind),
        one.value !== null && one.value !== undefined ? ` ${one.value}` : "",
      ),
    ),
    h("time", { title: date(one.time) }, one.time > 1e8 ? ago(one.time) : ""),
    one.event_id &&
      h(
        "button",
        {
          type: "button",
          class: "round",
          "aria-label": t("people.forget", { title: one.title }),
          title: t("people.forget", { title: one.title }),
          onclick: () => forget(one),
        },
        "✕",
      ),
  );
}

function suggestion(one) {
  return h(
    "li",
    { class: "why" },
    thumb(one),
    h(
      "div",
      {},
      h("header", {}, h("b", {}, said(one.title || one.id)), h("span", { class: "tag" }, named("source", one.source))),
      one.reason && [
        h("p", {}, said(one.reason.words)),
        Object.values(one.reason.by ?? {}).some((value) => value > 0) && [bar(one.reason.by), legend(one.reason.by)],
        one.reason.despite && h("p", { class: "small" }, said(one.reason.despite)),
      ],
    ),
  );
}

const known = (person) =>
  Object.entries(person.fields ?? {})
    .map(([name, value]) => `${name}: ${[value].flat().join(", ")}`)
    .join(" · ");

export async function show(place, { rest }) {
  const contents = h("div", { class: "rows" });
  const names = h("datalist", { id: "people" });
  const box = h("input", {
    class: "input",
    id: "person",
    list: "people",
    type: "search",
    value: rest,
    autocomplete: "off",
  });
  const look = (user) =>
    load(
      contents,
      () => api.person(user, SHOWN, language),
      (person) => [
        h(
          "div",
          { class: "head" },
          h("div", {}, h("h2", {}, said(person.user ?? user)), known(person) && h("p", {}, said(known(person)))),
        ),
        h(
          "div",
          { class: "columns" },
          panel(
            t("people.history", { count: person.history.length }),
            person.history.length
              ? h(
                  "ol",
                  {
                    class: "timeline",
                    tabindex: "0",
                    "aria-label": t("people.history", { count: person.history.length }),
                  },
                  person.history.map((one) => event(one, forget)),
                )
              : nothing(t("people.nothing"), t("people.nothingWords")),
          ),
          panel(t("people.shown"), h("ol", {}, person.answer.items.map(suggestion))),
        ),
      ],
      "tall",
    );
  async function forget(one) {
    if (!(await sure(t("people.forget", { title: one.title }), t("people.forgetWords"), t("remove")))) return;
    try {
      await api.takeBack(one.event_id);
    } catch (error) {
      complain(error);
    }
    look(box.value.trim());
  }
  const go = (user) => {
    if (!user) return;
    history.replaceState(null, "", `#/people/${encodeURIComponent(user)}`);
    look(user);
  };
  put(
    place,
    head(t("part.people"), t("people.words")),
    h(
      "form",
      {
        class: "finder",
        role: "search",
        onsubmit: (submitted) => {
          submitted.preventDefault();
          go(box.value.trim());
        },
      },
      h("div", { class: "field" }, h("label", { for: "person" }, t("people.who")), box),
      h("button", { class: "button main" }, t("people.look")),
    ),
    names,
    contents,
  );
  box.addEventListener("change", () => go(box.value.trim()));
  const { users } = await api.users().catch(() => ({ users: [] }));
  put(
    names,
    users.map((person) => h("option", { value: person.id })),
  );
  if (rest) look(rest);
  else if (users.length) {
    box.value = users[0].id;
    go(users[0].id);
  } else put(contents, nothing(t("people.nobody"), t("people.nobodyWords")));
}
