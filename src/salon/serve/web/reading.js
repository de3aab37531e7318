// What the service answers, as the pages read it: things with titles, reasons with names, numbers by minute.

/** The catalogue: fields by name to modality, the field of titles, the kinds of query that can be searched with. */
export const shop = { fields: new Map(), title: "", search: [] };

export function readCatalogue(told) {
  shop.fields = new Map(told.fields.map((field) => [field.name, field.modality]));
  shop.title = told.title ?? "";
  shop.search = told.searchable ?? ["text"];
  return shop;
}

const address = (place) => place.replace(/^\//, "");

const media = (places) =>
  Object.fromEntries(Object.entries(places ?? {}).map(([field, place]) => [field, address(place)]));

const because = ([id, title, share]) => ({ id, title: title || id, share });

/** One thing of an answer. */
export function thing(told) {
  const title = told.title || [told.fields?.[shop.title] ?? ""].flat()[0] || told.id;
  const reason = told.reason && { ...told.reason, because: told.reason.because.map(because) };
  return { ...told, title: String(title), media: media(told.media), reason };
}

/** An answer, each thing of which knows the answer that it is from, so that events can name it. */
export const answer = (told) => ({
  ...told,
  items: told.items.map((item) => ({ ...thing(item), answer: told.recommendation_id })),
});

/** What is like one thing: found by likeness, whichever model measured it. */
export function alike(told) {
  const like = answer(told);
  return { ...like, items: like.items.map((item) => ({ ...item, source: "similar" })) };
}

export const found = (told) => ({
  items: told.items.map(({ item, by }) => ({ ...thing(item), source: "search", by })),
});

export const person = (told) => ({
  user: told.user,
  fields: told.fields,
  history: told.history.map((event) => thing({ ...event, id: event.item })),
  answer: answer(told.recommended),
});

export const map = (told) => ({ ...told, items: told.items.map((item) => ({ ...item, image: address(item.image) })) });

/** Counts by minute of the last hour, minutes in which nothing happened filled in. */
export function stats(told) {
  const counts = (rows) => new Map((rows ?? []).map(({ minute, count }) => [minute, count]));
  const [events, answers, clicks] = [told.events, told.answers, told.clicks].map(counts);
  const now = Math.floor(Date.now() / 60000) * 60;
  const first = Math.max(now - 59 * 60, Math.min(now - 60, ...events.keys(), ...answers.keys()));
  const minutes = [];
  for (let time = first; time <= now; time += 60) {
    minutes.push({
      time,
      events: events.get(time) ?? 0,
      answers: answers.get(time) ?? 0,
      clicks: clicks.get(time) ?? 0,
    });
  }
  return { ...told, minutes };
}

/** The report of a comparison, or none. */
export function comparison({ report }) {
  if (!report?.models?.length) return { rows: [] };
  return { main: report.setting.main, reference: report.setting.reference, rows: report.models };
}

/** What the variants of an experiment reached; the first is the control, which the others are held against. */
export function results(told) {
  const variants = Object.keys(told.people).map((name) => ({
    name,
    people: told.people[name],
    answers: told.answers[name],
    successes: told.success[name],
    rate: told.answers[name] ? told.success[name] / told.answers[name] : null,
  }));
  return { ...told, variants, control: variants[0]?.name };
}
