// Rows that change: what stays moves to its new place, what leaves fades, what comes appears.

const still = matchMedia("(prefers-reduced-motion: reduce)");
const CALM = { duration: 420, easing: "cubic-bezier(.2, .8, .2, 1)" };
const QUICK = { duration: 170, easing: "ease-in" };

const inView = (box) => box.bottom > -200 && box.top < innerHeight + 200 && box.right > 0 && box.left < innerWidth;

/** Puts `wanted` into `list` in its order. Elements in both are kept, and move. */
export async function rearrange(list, wanted) {
  const keep = new Set(wanted);
  const old = [...list.children];
  if (still.matches || !old.length) {
    list.replaceChildren(...wanted);
    return;
  }
  const going = old.filter((element) => !keep.has(element) && inView(element.getBoundingClientRect()));
  await Promise.all(
    going.map(
      (element) =>
        element.animate([{}, { opacity: 0, transform: "scale(.86)" }], { ...QUICK, fill: "forwards" }).finished,
    ),
  );
  const before = new Map(old.map((element) => [element, element.getBoundingClientRect()]));
  const across = list.scrollLeft;
  list.replaceChildren(...wanted);
  list.scrollLeft = across;
  for (const element of wanted) {
    const to = element.getBoundingClientRect();
    const from = before.get(element);
    if (from && (inView(from) || inView(to))) {
      const dx = from.left - to.left;
      const dy = from.top - to.top;
      if (dx || dy) element.animate([{ transform: `translate(${dx}px, ${dy}px)` }, {}], CALM);
    } else if (!from && inView(to)) {
      element.animate([{ opacity: 0, transform: "scale(.92)" }, {}], CALM);
    }
  }
}

export const smooth = () => (still.matches ? "auto" : "smooth");
