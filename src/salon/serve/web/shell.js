// What both pages need around their contents: languages, messages to the reader, questions, signing in.

import { session } from "./api.js";
import { h, put, said } from "./dom.js";
import { LANGUAGES, has, language, speak, t } from "./i18n.js";

const NAMES = { en: "EN", zh: "中文" };
const TOAST = 7000;

/** The switch of languages; `after` draws the page anew. */
export function languages(after) {
  const place = document.querySelector(".languages");
  put(
    place,
    LANGUAGES.map((code) =>
      h(
        "button",
        {
          type: "button",
          lang: code,
          translate: "no",
          "aria-pressed": String(code === language),
          async onclick() {
            await speak(code);
            languages(after);
            after();
          },
        },
        NAMES[code],
      ),
    ),
  );
}

/** Tells people who listen to the page. */
export function tellAloud(words) {
  document.getElementById("heard").textContent = words;
}

let leaving = 0;

/** Tells everybody at the foot of the page, with one thing that can be done about it. */
export function toast(words, action = "", run = null) {
  clearTimeout(leaving);
  document.querySelector(".toast")?.remove();
  const close = () => box.remove();
  const box = h(
    "div",
    { class: "toast" },
    h("span", {}, words),
    action &&
      h(
        "button",
        {
          type: "button",
          onclick() {
            close();
            run();
          },
        },
        action,
      ),
  );
  document.body.append(box);
  tellAloud(words);
  const wait = () => {
    leaving = setTimeout(close, TOAST);
  };
  box.addEventListener("pointerenter", () => clearTimeout(leaving));
  box.addEventListener("pointerleave", wait);
  wait();
}

/** What went wrong, in words and with what to do. */
function reason(error) {
  const known = has(`error.${error.code}`) ? error.code : has(`error.${error.status}`) ? error.status : "";
  if (known === "") return [said(error.message), error.hint ? [" ", said(error.hint)] : null];
  return [t(`error.${known}`)];
}

/** The same in passing, for what was tried by a button. */
export const complain = (error, before = "") => toast(put(h("span"), before, " ", reason(error)).textContent.trim());

/** A box that says so, with a button that tries again. */
export function trouble(error, again) {
  return h(
    "div",
    { class: "state bad", role: "alert" },
    h("h3", {}, t("error.title")),
    h("p", {}, reason(error)),
    error.request && h("p", { class: "small" }, t("error.request"), " ", said(error.request)),
    again && h("button", { type: "button", class: "button", onclick: again }, t("again")),
  );
}

export const nothing = (title, words) =>
  h("div", { class: "state" }, h("h3", {}, title), words && h("p", { class: "quiet" }, words));

/** Opens a dialog that leaves the page when it closes. */
export function showDialog(dialog) {
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.showModal();
  return dialog;
}

export function shutButton(dialog) {
  return h(
    "button",
    { type: "button", class: "round shut", "aria-label": t("close"), onclick: () => dialog.close() },
    "✕",
  );
}

/** Asks before something that matters; true if the answer is yes. */
export function sure(title, words, action) {
  const dialog = h(
    "dialog",
    { class: "ask", "aria-label": title },
    h(
      "form",
      { method: "dialog" },
      h("h3", {}, title),
      h("p", { class: "quiet" }, words),
      h(
        "div",
        { class: "row" },
        h("button", { class: "button plain", value: "" }, t("cancel")),
        h("button", { class: "button main", value: "yes" }, action),
      ),
    ),
  );
  dialog.querySelector(".plain").value = "";
  showDialog(dialog);
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes")));
}

/** A key in the fragment of the address signs in; it is taken out of the address at once. */
async function keyOfAddress() {
  const found = /^#key=([\w-]+)$/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, "", location.pathname);
  await session.open(found[1]).catch(() => null);
}

/** Who is signed in; where nobody is, the form is shown and this waits until somebody is. */
export async function enter(place) {
  await keyOfAddress();
  try {
    return await session.now();
  } catch (error) {
    if (error.status !== 401) throw error;
    return signIn(place);
  }
}

function signIn(place) {
  return new Promise((resolve) => {
    const problem = h("p", { class: "problem", role: "alert" });
    const key = h("input", {
      class: "input",
      type: "password",
      name: "key",
      id: "key",
      required: true,
      autocomplete: "current-password",
      spellcheck: "false",
    });
    const form = h(
      "form",
      {
        async onsubmit(event) {
          event.preventDefault();
          problem.textContent = "";
          try {
            resolve(await session.open(key.value.trim()));
          } catch (error) {
            put(problem, error.status === 401 ? t("signin.wrong") : reason(error));
            key.select();
          }
        },
      },
      h(
        "div",
        { class: "field" },
        h("label", { for: "key" }, t("signin.key")),
        key,
        h("small", {}, t("signin.hint"), " ", h("code", { translate: "no" }, "salon keys")),
      ),
      problem,
      h("button", { class: "button main" }, t("signin.go")),
    );
    put(
      place,
      h(
        "section",
        { class: "signin box" },
        h("h1", {}, t("signin.title")),
        h("p", { class: "quiet" }, t("signin.words")),
        form,
      ),
    );
    key.focus();
  });
}

export async function leave() {
  await session.close().catch(() => null);
  location.reload();
}
