// A row of cards with a heading: it waits, shows, changes, fails, and is walked with the arrow keys.

import { ghost, makeCard } from "./card.js";
import { h, put } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { rearrange, smooth } from "./motion.js";
import { nothing, trouble } from "./shell.js";

const CONTROLS = "a[href], button, video";
let serial = 0;

export class Shelf {
  /**
   * @param heading what it is called: text or elements
   * @param view as for `makeCard`
   * @param shape "grid" or "strip"
   */
  constructor(heading, view, shape = "strip") {
    this.view = view;
    this.cards = new Map();
    this.title = h("h2", { id: `shelf-${++serial}` }, heading);
    this.words = h("p", { class: "quiet" });
    this.list = h("ul", {
      class: shape,
      "aria-labelledby": this.title.id,
      onkeydown: (event) => this.#walk(event),
      onfocusin: (event) => this.#stand(event.target.closest(".card")),
    });
    this.below = h("div", { class: "more" });
    const turn = (way, name) =>
      h(
        "button",
        {
          type: "button",
          class: "round",
          tabindex: "-1",
          "aria-hidden": "true",
          title: t(name),
          onclick: () => this.list.scrollBy({ left: way * this.list.clientWidth * 0.85, behavior: smooth() }),
        },
        icon(way < 0 ? "back" : "ahead"),
      );
    const turns = shape === "strip" && h("div", { class: "turns" }, turn(-1, "back"), turn(1, "ahead"));
    this.element = h(
      "section",
      { class: "shelf", "aria-labelledby": this.title.id },
      h("header", {}, h("div", {}, this.title, this.words), turns),
      this.list,
      this.below,
    );
  }

  get things() {
    return [...this.list.children].map((card) => card.thing).filter(Boolean);
  }

  /** Empty cards until the answer comes. */
  wait(count) {
    this.element.setAttribute("aria-busy", "true");
    put(this.list, Array.from({ length: count }, ghost));
  }

  /** Shows these things; cards of things that were here before are kept and move. Tells what changed. */
  async show(things) {
    const before = new Set(this.things.map((thing) => thing.id));
    const focus = this.#focused();
    const wanted = things.map((thing) => {
      const card = this.cards.get(thing.id);
      if (card) card.update(thing);
      return card ?? makeCard(thing, this.view);
    });
    this.cards = new Map(wanted.map((card) => [card.dataset.id, card]));
    this.element.removeAttribute("aria-busy");
    this.list.hidden = false;
    await rearrange(this.list, wanted);
    this.#stand(this.list.children[Math.max(focus, 0)] ?? this.list.lastElementChild);
    if (focus >= 0 && !this.list.contains(document.activeElement)) this.#reach(Math.min(focus, wanted.length - 1));
    return things.filter((thing) => !before.has(thing.id)).length;
  }

  empty(title, words) {
    this.cards.clear();
    this.list.hidden = true;
    this.element.removeAttribute("aria-busy");
    put(this.below, nothing(title, words));
  }

  fail(error, again) {
    this.cards.clear();
    this.list.hidden = true;
    this.element.removeAttribute("aria-busy");
    put(this.below, trouble(error, again));
  }

  #focused() {
    return [...this.list.children].findIndex((card) => card.contains(document.activeElement));
  }

  /** Tab enters the row at one card and leaves it after that card's buttons; the arrows change the card. */
  #stand(current) {
    for (const card of this.list.children) {
      for (const control of card.querySelectorAll(CONTROLS)) control.tabIndex = card === current ? 0 : -1;
    }
  }

  #reach(place) {
    const link = this.list.children[place]?.querySelector(".open");
    link?.focus({ preventScroll: true });
    link?.closest(".card").scrollIntoView({ block: "nearest", inline: "nearest", behavior: smooth() });
  }

  #walk(event) {
    const place = this.#focused();
    if (place < 0 || event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "VIDEO") return;
    const cards = [...this.list.children];
    const across = this.list.classList.contains("grid")
      ? cards.filter((card) => card.offsetTop === cards[0].offsetTop).length
      : 0;
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: across,
      ArrowUp: -across,
      Home: -place,
      End: cards.length - 1 - place,
    };
    const step = steps[event.key];
    if (!step || !cards[place + step]) return;
    event.preventDefault();
    this.#reach(place + step);
  }
}
