// One thing on a card: its picture, sound and film, why it is there, and what one may say to it.

import { h, put, said } from "./dom.js";
import { named, percent, t } from "./i18n.js";
import { icon } from "./icons.js";
import { bar, facts, mediumOf, ordered, picture, titles } from "./pictures.js";
import { explains } from "./reasons.js";

/** What one may say of a thing, as events of these kinds, and the drawing of each. */
export const SIGN = { like: "like", dislike: "dislike", not_interested: "hide" };
export const SAYINGS = Object.keys(SIGN);

const player = new Audio();
let playing = null;

function hush() {
  player.pause();
  playing?.(false);
  playing = null;
}
player.addEventListener("ended", hush);

/** A button that plays a sound; one sound plays at a time. */
function soundButton(address) {
  const button = h(
    "button",
    { type: "button", class: "round", "aria-label": t("card.listen"), "aria-pressed": "false" },
    icon("sound"),
  );
  const turn = (on) => {
    button.setAttribute("aria-pressed", String(on));
    put(button, icon(on ? "pause" : "sound"));
  };
  button.addEventListener("click", () => {
    const again = playing === turn;
    hush();
    if (again) return;
    player.src = new URL(address, document.baseURI);
    playing = turn;
    turn(true);
    player.play().catch(hush);
  });
  return button;
}

/** A button that shows the film in place of the picture, and back. */
function filmButton(address, card) {
  const button = h(
    "button",
    { type: "button", class: "round", "aria-label": t("card.watch"), "aria-pressed": "false" },
    icon("film"),
  );
  button.addEventListener("click", () => {
    const film = card.querySelector(".film");
    button.setAttribute("aria-pressed", String(!film));
    put(button, icon(film ? "film" : "close"));
    if (film) film.remove();
    else {
      hush();
      const shown = h("video", {
        class: "film",
        src: address,
        controls: true,
        loop: true,
        playsinline: true,
        muted: true,
        "aria-label": t("card.watch"),
      });
      card.querySelector(".media").before(shown);
      shown.play().catch(() => null);
    }
  });
  return button;
}

function why(thing) {
  const because = thing.reason?.because ?? [];
  const by = thing.by ?? thing.reason?.by ?? {};
  const kinds = ordered(thing.by).filter(([, value]) => value > 0);
  const whole = kinds.reduce((sum, [, value]) => sum + value, 0);
  const line = kinds.length
    ? kinds
        .slice(0, 2)
        .map(([kind, value]) => `${named("modality", kind)} ${percent(value / whole)}`)
        .join(t("comma"))
    : because.length
      ? [t("why.with"), t("space"), titles(because)]
      : thing.reason?.words
        ? [said(thing.reason.words)]
        : [named("source", thing.source)];
  return [h("span", {}, line), Object.values(by).some((value) => value > 0) && bar(by)];
}

/** A card for `thing`; `view` says what opening does, what one said before, and takes what one says now. */
export function makeCard(thing, view) {
  const name = `t-${Math.random().toString(36).slice(2, 9)}`;
  const card = h("li", { class: "card box", data: { id: thing.id } });
  const media = [];
  const sound = mediumOf(thing, "audio");
  const film = mediumOf(thing, "video");
  if (sound) media.push(soundButton(sound));
  if (film) media.push(filmButton(film, card));
  const whyButton = h("button", { type: "button", class: "why", "aria-label": t("why.of", { title: thing.title }) });
  const sayings = SAYINGS.map((kind) =>
    h(
      "button",
      {
        type: "button",
        class: `round ${SIGN[kind]}`,
        title: t(`say.${kind}`),
        "aria-label": t("say.of", { say: t(`say.${kind}`), title: thing.title }),
        onclick: () => view.say(card.thing, kind, card),
      },
      icon(SIGN[kind]),
    ),
  );
  card.append(
    h(
      "a",
      { class: "open", href: `#/thing/${encodeURIComponent(thing.id)}`, onclick: () => view.open?.(card.thing) },
      picture(thing),
      h(
        "div",
        { class: "body" },
        h("h3", { class: "title", id: name }, said(thing.title || thing.id)),
        h("p", { class: "facts" }, said(facts(thing))),
      ),
    ),
    h("div", { class: "media" }, media),
    whyButton,
    h("div", { class: "actions", role: "group", "aria-labelledby": name }, sayings),
  );
  explains(whyButton, () => card.thing);
  card.update = (fresh) => {
    card.thing = fresh;
    put(whyButton, why(fresh));
    card.mood();
  };
  card.mood = () => {
    const said = view.said(thing.id);
    SAYINGS.forEach((kind, i) => sayings[i].setAttribute("aria-pressed", String(said === kind)));
  };
  card.update(thing);
  return card;
}

/** The place of a card that is still on its way. */
export function ghost() {
  return h(
    "li",
    { class: "card box ghost", "aria-hidden": "true" },
    h("div", { class: "picture skeleton" }),
    h(
      "div",
      { class: "body" },
      h("div", { class: "skeleton", vars: { width: "80%" } }),
      h("div", { class: "skeleton", vars: { width: "45%" } }),
    ),
    h("div", { class: "why" }, h("span", {}), h("div", { class: "skeleton", vars: { height: "6px" } })),
    h("div", { class: "actions" }, h("span", { class: "round" })),
  );
}
