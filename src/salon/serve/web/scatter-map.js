// A field of points on a canvas that one can drag, zoom and point at; near enough, points become pictures.

import { medium } from "./api.js";

/** Radius of a picture, and how near one has to point. */
const NEAR = 23;
/** Things in sight up to which they are drawn as pictures. */
const PICTURES = 140;
/** How far one may zoom in. */
const MOST = 60;
/** Radius of the point that is marked. */
const SMALL = 9;

export class ScatterMap {
  /**
   * @param canvas where it is drawn
   * @param items [{id, title, x, y, label, image}]
   * @param colourOf label to a CSS variable
   * @param point called with the item under the pointer, or null, and its place
   */
  constructor(canvas, items, colourOf, point) {
    Object.assign(this, { canvas, items, colourOf, point, hidden: new Set(), marked: null, pictures: new Map() });
    const spread = (values) => [Math.min(...values), Math.max(...values)];
    [this.left, this.right] = spread(items.map((item) => item.x));
    [this.low, this.high] = spread(items.map((item) => item.y));
    this.scale = 1;
    this.shift = [0, 0];
    this.pointers = new Map();
    this.#listen();
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(canvas);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.draw());
  }

  end() {
    this.watcher.disconnect();
  }

  /** Where an item is on the canvas, in CSS pixels. */
  place(item) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const pad = 34;
    const x = pad + ((item.x - this.left) / (this.right - this.left || 1)) * (width - 2 * pad);
    const y = pad + ((this.high - item.y) / (this.high - this.low || 1)) * (height - 2 * pad);
    return [
      (x - width / 2 - this.shift[0]) * this.scale + width / 2,
      (y - height / 2 - this.shift[1]) * this.scale + height / 2,
    ];
  }

  zoom(factor, [x, y] = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const [dx, dy] = [x - this.canvas.clientWidth / 2, y - this.canvas.clientHeight / 2];
    this.shift[0] += dx / this.scale - dx / scale;
    this.shift[1] += dy / this.scale - dy / scale;
    this.scale = scale;
    this.#within();
  }

  move(dx, dy) {
    this.shift[0] -= dx / this.scale;
    this.shift[1] -= dy / this.scale;
    this.#within();
  }

  /** Goes near an item and marks it. */
  goTo(item) {
    this.marked = item;
    this.scale = Math.max(this.scale, 5);
    this.shift = [0, 0];
    const [x, y] = this.place(item);
    this.shift = [(x - this.canvas.clientWidth / 2) / this.scale, (y - this.canvas.clientHeight / 2) / this.scale];
    this.#within();
    this.point(item, this.place(item));
  }

  #within() {
    const most = [this.canvas.clientWidth, this.canvas.clientHeight].map((size) => (size / 2) * (1 - 1 / this.scale));
    this.shift = this.shift.map((value, i) => Math.min(most[i], Math.max(-most[i], value)));
    this.draw();
  }

  /** Draws once before the next frame. */
  draw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.#paint();
    });
  }

  #paint() {
    const { canvas } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const colours = new Map();
    const colour = (label) => {
      if (!colours.has(label)) colours.set(label, style.getPropertyValue(this.colourOf(label)).trim());
      return colours.get(label);
    };
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const seen = this.items
      .filter((item) => !this.hidden.has(item.label))
      .map((item) => ({ item, at: this.place(item) }))
      .filter(({ at: [x, y] }) => x > -NEAR && y > -NEAR && x < width + NEAR && y < height + NEAR);
    const near = seen.length <= PICTURES;
    for (const {
      item,
      at: [x, y],
    } of seen) {
      if (near && item.image && this.#picture(pen, item, x, y, colour(item.label))) continue;
      pen.globalAlpha = 0.82;
      pen.fillStyle = colour(item.label);
      pen.beginPath();
      pen.arc(x, y, item === this.marked ? SMALL : near ? SMALL - 1 : 5, 0, 2 * Math.PI);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (this.marked) {
      const [x, y] = this.place(this.marked);
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.lineWidth = 2;
      pen.beginPath();
      pen.arc(x, y, near && this.marked.image ? NEAR + 5 : 13, 0, 2 * Math.PI);
      pen.stroke();
    }
  }

  /** Draws a picture in a ring of its colour; false while it is on its way. */
  #picture(pen, item, x, y, colour) {
    let image = this.pictures.get(item.id);
    if (!image) {
      image = new Image();
      image.onload = () => this.draw();
      image.src = medium(item.image, 120);
      this.pictures.set(item.id, image);
    }
    if (!image.complete || !image.naturalWidth) return false;
    const side = Math.min(image.naturalWidth, image.naturalHeight);
    pen.save();
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(x, y, NEAR, 0, 2 * Math.PI);
    pen.fillStyle = colour;
    pen.fill();
    pen.beginPath();
    pen.arc(x, y, NEAR - 3, 0, 2 * Math.PI);
    pen.clip();
    pen.drawImage(
      image,
      (image.naturalWidth - side) / 2,
      (image.naturalHeight - side) / 2,
      side,
      side,
      x - NEAR,
      y - NEAR,
      2 * NEAR,
      2 * NEAR,
    );
    pen.restore();
    return true;
  }

  /** The nearest item within reach of a place, or null. */
  at([x, y]) {
    let best = null;
    let least = NEAR;
    for (const item of this.items) {
      if (this.hidden.has(item.label)) continue;
      const [ix, iy] = this.place(item);
      const distance = Math.hypot(ix - x, iy - y);
      if (distance < least) [best, least] = [item, distance];
    }
    return best;
  }

  #listen() {
    const { canvas } = this;
    const spot = (event) => [event.offsetX, event.offsetY];
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * 0.0016), spot(event));
        this.point(null);
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, spot(event));
    });
    const up = (event) => this.pointers.delete(event.pointerId);
    canvas.addEventListener("pointerup", (event) => {
      up(event);
      if (event.pointerType !== "mouse") this.#show(spot(event));
    });
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("pointermove", (event) => this.#drag(event, spot(event)));
    canvas.addEventListener("keydown", (event) => this.#keys(event));
  }

  #show(at) {
    const item = this.at(at);
    this.point(item, item && this.place(item));
  }

  #drag(event, at) {
    const from = this.pointers.get(event.pointerId);
    if (!from) {
      this.#show(at);
      return;
    }
    this.point(null);
    if (this.pointers.size === 1) this.move(at[0] - from[0], at[1] - from[1]);
    else {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const far = (a) => Math.hypot(a[0] - other[0], a[1] - other[1]) || 1;
      this.zoom(far(at) / far(from), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    }
    this.pointers.set(event.pointerId, at);
  }

  #keys(event) {
    const step = 60;
    const acts = {
      ArrowLeft: () => this.move(step, 0),
      ArrowRight: () => this.move(-step, 0),
      ArrowUp: () => this.move(0, step),
      ArrowDown: () => this.move(0, -step),
      "+": () => this.zoom(1.5),
      "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5),
      0: () => this.zoom(1e-9),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    acts[event.key]();
  }
}
