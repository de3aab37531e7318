// The studio: one page with a part for each thing that an owner looks after.

import * as api from "./api.js";
import { h, put } from "./dom.js";
import { speak, t } from "./i18n.js";
import { icon } from "./icons.js";
import * as data from "./part-data.js";
import * as experiments from "./part-experiments.js";
import * as keys from "./part-keys.js";
import * as map from "./part-map.js";
import * as models from "./part-models.js";
import * as overview from "./part-overview.js";
import * as people from "./part-people.js";
import * as scenarios from "./part-scenarios.js";
import { enter, languages, leave, trouble } from "./shell.js";

const PARTS = { overview, data, map, models, experiments, scenarios, people, keys };

const main = document.getElementById("main");
const nav = document.querySelector("nav");
let finish = null;
let me = null;

/** Shows the part that the address names; the part before is told to end its work. */
async function route(event) {
  const [, name = "overview", rest = ""] = /^#\/(\w+)(?:\/(.*))?$/s.exec(location.hash) ?? [];
  const part = PARTS[name] ? name : "overview";
  finish?.();
  finish = null;
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.part === part) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "center" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${t(`part.${part}`)} · salon`;
  const place = h("div", { class: "rows" });
  put(main, place);
  scrollTo(0, 0);
  if (event) main.focus({ preventScroll: true });
  const end = new AbortController();
  finish = () => end.abort();
  try {
    await PARTS[part].show(place, { rest: decodeURIComponent(rest), signal: end.signal, me });
  } catch (error) {
    if (error.name !== "AbortError") put(main, trouble(error, route));
  }
}

function draw() {
  put(
    nav,
    Object.keys(PARTS).map((name) =>
      h("a", { href: `#/${name}`, data: { part: name } }, icon(name), t(`part.${name}`)),
    ),
  );
  nav.hidden = false;
  route();
}

async function begin() {
  await speak();
  languages(() => (me ? draw() : location.reload()));
  try {
    me = await enter(main);
    const button = document.querySelector(".leave");
    button.hidden = false;
    button.onclick = leave;
    await api.catalogue();
    draw();
    addEventListener("hashchange", route);
  } catch (error) {
    put(
      main,
      trouble(error, () => location.reload()),
    );
  }
}

begin();
