// The reasons of one thing, in a box that floats beside what was pointed at.

import { h, put, said } from "./dom.js";
import { named, percent, t } from "./i18n.js";
import { bar, legend, thumb } from "./pictures.js";

const REST = 130;
const box = h("div", { class: "reasons", id: "reasons", popover: "manual", role: "tooltip" });
let anchor = null;
let timer = 0;

/** Finds the medium of a thing that is known by its id alone. */
let known = () => null;
export const knowThings = (find) => {
  known = find;
};

function contents(thing) {
  const { reason } = thing;
  if (!reason)
    return [
      h("p", {}, said(named("source", thing.source)), thing.by && [h("br"), t("why.search")]),
      thing.by && [bar(thing.by), legend(thing.by)],
    ];
  return [
    h("p", {}, said(reason.words)),
    Object.keys(reason.by ?? {}).length > 0 && [bar(reason.by), legend(reason.by)],
    reason.because?.length > 0 &&
      h(
        "ul",
        { class: "because" },
        reason.because.map((one) =>
          h("li", {}, thumb(known(one.id) ?? one), h("b", {}, percent(one.share)), h("span", {}, said(one.title))),
        ),
      ),
    reason.despite && h("p", { class: "despite" }, said(reason.despite)),
  ];
}

function place() {
  const at = anchor.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const left = Math.min(Math.max(12, at.left), innerWidth - size.width - 12);
  const above = at.top - size.height - 8;
  box.style.left = `${left}px`;
  box.style.top = `${above > 8 ? above : Math.min(at.bottom + 8, innerHeight - size.height - 8)}px`;
}

function open(button, thing) {
  clearTimeout(timer);
  if (anchor === button) return;
  close();
  if (!box.isConnected) document.body.append(box);
  put(box, contents(thing));
  anchor = button;
  button.setAttribute("aria-expanded", "true");
  button.setAttribute("aria-describedby", "reasons");
  box.showPopover();
  place();
}

export function close() {
  clearTimeout(timer);
  if (!anchor) return;
  anchor.setAttribute("aria-expanded", "false");
  anchor.removeAttribute("aria-describedby");
  anchor = null;
  box.hidePopover();
}

const soon = (work, ms) => {
  clearTimeout(timer);
  timer = setTimeout(work, ms);
};

/** Shows the reasons of `thing()` on hover, focus, tap, Enter; Esc and leaving close them. */
export function explains(button, thing) {
  button.setAttribute("aria-expanded", "false");
  let wasOpen = false;
  button.addEventListener(
    "pointerenter",
    (event) => event.pointerType === "mouse" && soon(() => open(button, thing()), REST),
  );
  button.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && soon(close, REST));
  button.addEventListener("pointerdown", () => {
    wasOpen = anchor === button;
  });
  button.addEventListener("focus", () => button.matches(":focus-visible") && open(button, thing()));
  button.addEventListener("blur", close);
  button.addEventListener("click", (event) => {
    const toggled = event.detail > 0 ? wasOpen : anchor === button;
    if (toggled) close();
    else open(button, thing());
  });
}

box.addEventListener("pointerenter", () => clearTimeout(timer));
box.addEventListener("pointerleave", () => soon(close, REST));
addEventListener("keydown", (event) => event.key === "Escape" && close());
addEventListener("scroll", () => anchor && soon(close, 60), { passive: true, capture: true });
addEventListener(
  "pointerdown",
  (event) => anchor && !box.contains(event.target) && !anchor.contains(event.target) && close(),
);
