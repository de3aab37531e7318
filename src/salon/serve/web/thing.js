// The view of one thing: large, with its fields, why it is recommended, and what is like it.

import * as api from "./api.js";
import { SAYINGS, SIGN } from "./card.js";
import { h, put, said } from "./dom.js";
import { language, named, number, percent, t } from "./i18n.js";
import { icon } from "./icons.js";
import { bar, legend, mediumOf, picture, thumb } from "./pictures.js";
import { shop } from "./reading.js";
import { Shelf } from "./shelf.js";
import { nothing, showDialog, shutButton, trouble } from "./shell.js";
import { taste } from "./taste.js";

const EVIDENCE = 6;
const LIKE_IT = 12;

function told(thing) {
  const rows = [];
  for (const [field, modality] of shop.fields) {
    const value = thing.fields?.[field];
    if (
      ["image", "audio", "video", "series"].includes(modality) ||
      value === null ||
      value === undefined ||
      value === ""
    )
      continue;
    if (String(value) === thing.title) continue;
    const shown = modality === "number" ? number(Number([value].flat()[0]), 2) : [value].flat().join(", ");
    rows.push(h("dt", {}, said(field)), h("dd", {}, said(shown)));
  }
  return h("dl", {}, rows);
}

function media(thing) {
  const sound = mediumOf(thing, "audio");
  const film = mediumOf(thing, "video");
  return [
    film &&
      h("video", { src: film, controls: true, playsinline: true, preload: "metadata", "aria-label": t("card.watch") }),
    sound && h("audio", { src: sound, controls: true, preload: "none", "aria-label": t("card.listen") }),
  ];
}

/** What each thing of the history adds to the score, and out of which kinds of information. */
function evidence(found) {
  const most = Math.max(...found.parts.map((part) => Math.abs(part.value)), 1e-9);
  const total = found.parts.reduce((sum, part) => sum + Math.max(part.value, 0), 0);
  const shown = found.parts.filter((part) => part.value > 0).slice(0, EVIDENCE);
  return [
    h("p", {}, said(found.words)),
    shown.length > 0 && [bar(found.by), legend(found.by)],
    h(
      "ol",
      { class: "evidence", "aria-label": t("why.parts") },
      shown.map((part) =>
        h(
          "li",
          {},
          thumb({ ...part, media: part.media ?? mediaOf(part.id) }),
          h("div", {}, said(part.title), h("div", { vars: { "--size": Math.abs(part.value) / most } }, bar(part.by))),
          h("b", {}, percent(part.value / total)),
        ),
      ),
    ),
    found.despite && h("p", { class: "quiet" }, said(found.despite)),
    found.method && h("p", { class: "small" }, t(`why.${found.method}`)),
  ];
}

const mediaOf = (id) => taste.history.find((event) => event.id === id)?.media;

/** Opens the view of a thing; `view` as for cards. Resolves when it closes. */
export async function openThing(id, view) {
  const dialog = h("dialog", { class: "thing sheet", "aria-label": t("loading"), "aria-busy": "true" });
  put(
    dialog,
    shutButton(dialog),
    h("div", { class: "front" }, h("div", { class: "picture skeleton" }), h("div", { class: "words" })),
  );
  showDialog(dialog);
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve));
  try {
    fill(dialog, await api.item(id), view);
  } catch (error) {
    put(dialog, shutButton(dialog), h("div", { class: "words" }, trouble(error)));
  }
  dialog.removeAttribute("aria-busy");
  return closed;
}

function fill(dialog, thing, view) {
  dialog.setAttribute("aria-label", thing.title);
  const sayings = SAYINGS.map((kind) =>
    h(
      "button",
      {
        type: "button",
        class: "button",
        "aria-pressed": String(taste.said(thing.id) === kind),
        async onclick() {
          await view.say(thing, kind);
          SAYINGS.forEach((other, i) =>
            sayings[i].setAttribute("aria-pressed", String(taste.said(thing.id) === other)),
          );
          why();
        },
      },
      icon(SIGN[kind]),
      t(`say.${kind}`),
    ),
  );
  const reasons = h(
    "section",
    {},
    h("h3", {}, t("thing.why")),
    h("div", { class: "evidence skeleton", vars: { height: "90px" } }),
  );
  const alike = new Shelf(t("thing.similar"), { ...view, open: null });
  const why = async () => {
    try {
      const answer = await api.explain({ user: taste.id, item: thing.id, language });
      put(
        reasons,
        h("h3", {}, t("thing.why")),
        answer.parts.length || answer.words ? evidence(answer) : nothing(t("why.none")),
      );
    } catch (error) {
      put(
        reasons,
        h("h3", {}, t("thing.why")),
        error.status === 0 ? trouble(error, why) : nothing(named("source", thing.source ?? "none")),
      );
    }
  };
  put(
    dialog,
    shutButton(dialog),
    h(
      "div",
      { class: "front" },
      picture(thing, { width: 960, alt: thing.title }),
      h(
        "div",
        { class: "words" },
        h("h2", {}, said(thing.title)),
        told(thing),
        media(thing),
        h("div", { class: "actions", role: "group", "aria-label": t("thing.say") }, sayings),
      ),
    ),
    h("div", { class: "below" }, reasons, alike.element),
  );
  alike.wait(5);
  why();
  api.similar({ item: thing.id, k: LIKE_IT }).then(
    ({ items }) => (items.length ? alike.show(items) : alike.empty(t("thing.alone"))),
    (error) => alike.fail(error),
  );
}
