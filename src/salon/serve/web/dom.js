// Elements in one line: h("a", { href, class, onclick, data: {id}, vars: {"--hue": 3} }, "text", child, ...).

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "vars") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else if (name === "value" || name === "checked" || name === "muted") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

/** Words that come from the shop or the server: not ours to translate, and possibly of another direction. */
export const said = (text) => h("bdi", { translate: "no" }, text);

export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return parent;
}

/** A number from a text, the same every time: the hue of things without a picture (FNV-1a). */
export function hash(text) {
  let value = 0x811c9dc5;
  for (const sign of text) value = Math.imul(value ^ sign.codePointAt(0), 0x01000193) >>> 0;
  return value >>> 8;
}

/** Runs `work` once calls have paused for `ms`. */
export function paused(work, ms = 250) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), ms);
  };
}

/** Small values that outlive the page, where the browser allows it. */
export const kept = {
  get(name) {
    try {
      return localStorage.getItem(`salon.${name}`) ?? "";
    } catch {
      return "";
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`salon.${name}`, value);
    } catch {
      // private windows may forbid it: the value then lives as long as the page
    }
  },
};
