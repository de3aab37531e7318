// Keys: who may call the service, and what was done with them.

import * as api from "./api.js";
import { h, put, said } from "./dom.js";
import { ago, date, t } from "./i18n.js";
import { button, edit, field, head, load, panel, table } from "./panels.js";
import { nothing, showDialog, shutButton, sure } from "./shell.js";

const SCOPES = ["read", "write", "admin"];

function showOnce(key) {
  const dialog = h("dialog", { class: "edit sheet", "aria-label": t("keys.made") });
  put(
    dialog,
    shutButton(dialog),
    h(
      "div",
      { class: "rows" },
      h("h2", {}, t("keys.made")),
      h("p", { class: "quiet" }, t("keys.once")),
      h("code", { class: "secret", translate: "no", tabindex: "0" }, key),
      h(
        "div",
        { class: "doing" },
        button(t("keys.copy"), () => navigator.clipboard?.writeText(key), "main"),
      ),
    ),
  );
  showDialog(dialog);
}

function create(again) {
  edit(
    t("keys.new"),
    [
      field(t("name"), "name", { required: true, maxlength: "80" }, t("keys.nameHint")),
      h(
        "fieldset",
        {},
        h("legend", {}, t("keys.scopes")),
        h(
          "div",
          { class: "checks" },
          SCOPES.map((scope) =>
            h(
              "label",
              {},
              h("input", { type: "checkbox", name: "scopes", value: scope, checked: scope === "read" }),
              t(`scope.${scope}`),
            ),
          ),
        ),
      ),
    ],
    async (form) => {
      const made = await api.keys.add(form.get("name"), form.getAll("scopes"));
      again();
      showOnce(made.key);
    },
  );
}

function list(keys, revoke) {
  return panel(
    "",
    h(
      "div",
      {},
      keys.map((key) =>
        h(
          "div",
          { class: "entry" },
          h(
            "div",
            {},
            h(
              "h3",
              {},
              said(key.name || key.prefix),
              h("span", { class: "tag", translate: "no" }, `salon_${key.prefix}_…`),
              key.revoked && h("span", { class: "tag bad" }, t("keys.revoked")),
            ),
            h(
              "p",
              { class: "quiet" },
              key.scopes.map((scope) => t(`scope.${scope}`)).join(" · "),
              " · ",
              t("keys.created"),
              " ",
              h("time", { title: date(key.created) }, ago(key.created)),
              " · ",
              key.last_used ? [t("keys.used"), " ", ago(key.last_used)] : t("keys.unused"),
            ),
          ),
          h("div", { class: "doing" }, !key.revoked && button(t("keys.revoke"), () => revoke(key))),
        ),
      ),
    ),
  );
}

export async function show(place) {
  const contents = h("div", {});
  const log = h("div", {});
  const draw = () =>
    load(contents, api.keys.all, ({ keys }) => (keys.length ? list(keys, revoke) : nothing(t("keys.none"))));
  async function revoke(key) {
    if (!(await sure(t("keys.revoke"), t("keys.revokeWords", { name: key.name || key.prefix }), t("keys.revoke"))))
      return;
    await load(
      contents,
      () => api.keys.revoke(key.prefix),
      () => null,
    );
    draw();
  }
  put(
    place,
    head(
      t("part.keys"),
      t("keys.words"),
      button(t("keys.new"), () => create(draw), "main"),
    ),
    contents,
    log,
  );
  await Promise.all([
    draw(),
    load(log, api.audit, ({ entries }) =>
      panel(
        t("keys.audit"),
        entries.length
          ? table(
              t("keys.audit"),
              [t("keys.what"), t("keys.target"), t("keys.who"), t("keys.when")],
              entries.map((one) => [
                said(one.action),
                said(one.target),
                said(one.actor),
                h("time", { title: date(one.time) }, ago(one.time)),
              ]),
            )
          : nothing(t("keys.noAudit")),
      ),
    ),
  ]);
}
