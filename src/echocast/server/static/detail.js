// Tiles over the picture of the whole domain where the map shows more than it holds: the cells of the grid, of the time
// that is shown alone. Picture and tiles are put together on one canvas, so that nothing is drawn twice or flickers.
import { tile } from "./api.js";

const SIDE = 256;
const MOST = 76; // of 256 KiB each: 20 MB
const DEEPEST = 12;
const ENOUGH = 1.15; // screen pixels a pixel of the picture

export class Detail {
  constructor({ onChange }) {
    this.onChange = onChange;
    this.kept = new Map();
    this.isActive = false;
    this.one = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    this.#forget();
  }

  // The time that is shown, with its picture; null while it moves on.
  use(shown, palette) {
    if (shown?.url === this.shown?.url) return;
    this.#forget();
    Object.assign(this, { shown, palette });
    for (const [key, entry] of this.kept) if (entry.of !== shown?.url && !entry.isReady) this.#drop(key);
    this.onChange();
  }

  // Whether tiles show more than the picture.
  isNeeded(view) {
    if (!this.shown) return false;
    const { image, bounds: [west, , east] } = this.shown;
    return view.scale > (ENOUGH * image.naturalWidth * 360) / (east - west);
  }

  // Asks for what is seen and is not there; draws the picture, and the tiles over it, once all of them are.
  draw(context, view) {
    const wanted = this.isNeeded(view) ? this.#inside(view) : [];
    if (wanted.length > MOST) wanted.length = 0;
    for (const key of this.kept.keys()) {
      if (!this.kept.get(key).isReady && !wanted.some((one) => one.key === key)) this.#drop(key);
    }
    this.wanted = wanted.map((one) => this.#entry(one));
    const isActive = wanted.length > 0 && (this.isActive || this.#isWhole());
    if (isActive) this.#compose(context, view);
    this.isActive = isActive;
  }

  // [red, green, blue, alpha] of the cell at a place; null where no tile is drawn.
  at(lat, lon) {
    if (!this.isActive) return null;
    const [x, y] = [(lon + 180) / 360, mercatorY(lat)];
    for (const entry of this.wanted) {
      const [column, row] = [x * 2 ** entry.z - entry.x, y * 2 ** entry.z - entry.y];
      if (!entry.isReady || column < 0 || column >= 1 || row < 0 || row >= 1) continue;
      this.one.clearRect(0, 0, 1, 1);
      this.one.drawImage(entry.image, Math.floor(column * SIDE), Math.floor(row * SIDE), 1, 1, 0, 0, 1, 1);
      return this.one.getImageData(0, 0, 1, 1).data;
    }
    return null;
  }

  #forget() {
    Object.assign(this, { shown: null, palette: null, wanted: [], isActive: false });
  }

  #isWhole = () => this.wanted.every((entry) => entry.isReady || entry.isFailed);

  // The tiles of the part of the domain that is seen.
  #inside(view) {
    const z = Math.min(DEEPEST, Math.round(view.zoom));
    const count = 2 ** z;
    const [west, south, east, north] = this.shown.bounds;
    const seen = view.seen.map((value) => (value / view.scale) * count);
    const range = (low, high, least, most) => [Math.floor(Math.max(low, least)), Math.ceil(Math.min(high, most)) - 1];
    const [left, right] = range(seen[0], seen[2], ((west + 180) / 360) * count, ((east + 180) / 360) * count);
    const [top, bottom] = range(seen[1], seen[3], mercatorY(north) * count, mercatorY(south) * count);
    const found = [];
    for (let y = top; y <= bottom; y += 1) {
      for (let x = left; x <= right; x += 1) found.push({ z, x, y, key: `${this.shown.url}|${z}/${x}/${y}` });
    }
    return found;
  }

  #entry({ z, x, y, key }) {
    const known = this.kept.get(key);
    this.kept.delete(key);
    const entry = known ?? this.#load(z, x, y, key); // one that failed is tried again when it is seen anew
    this.kept.set(key, entry); // as the newest
    for (const old of this.kept.keys()) {
      if (this.kept.size <= MOST) break;
      this.#drop(old);
    }
    return entry;
  }

  #load(z, x, y, key) {
    const { id, layer, lead } = this.shown;
    const entry = { z, x, y, of: this.shown.url, image: new Image(), isReady: false, isFailed: false };
    const tell = (change) => {
      if (this.kept.get(key) !== entry) return;
      Object.assign(entry, change);
      if (this.wanted.includes(entry) && (this.isActive || this.#isWhole())) this.#soon();
    };
    entry.image.onload = () => tell({ isReady: true });
    entry.image.onerror = () => tell({ isFailed: true });
    entry.image.src = tile(id, layer, lead, z, x & (2 ** z - 1), y, this.palette);
    return entry;
  }

  #soon() {
    if (this.isSoon) return;
    this.isSoon = true;
    requestAnimationFrame(() => {
      this.isSoon = false;
      this.onChange();
    });
  }

  #drop(key) {
    const entry = this.kept.get(key);
    this.kept.delete(key);
    if (!entry.isReady) entry.image.src = ""; // it is not loaded any further
  }

  #compose(context, view) {
    context.imageSmoothingEnabled = false;
    const { image, bounds: [west, south, east, north] } = this.shown;
    const edges = [((west + 180) / 360), mercatorY(north), ((east + 180) / 360), mercatorY(south)];
    place(context, view, image, edges);
    const ready = [...this.kept.values()].filter((entry) => entry.isReady && entry.of === this.shown.url);
    const isWanted = (entry) => this.wanted.includes(entry);
    for (const entry of ready.sort((a, b) => isWanted(a) - isWanted(b))) {
      const share = 2 ** -entry.z;
      place(context, view, entry.image, [entry.x * share, entry.y * share, (entry.x + 1) * share, (entry.y + 1) * share]);
    }
  }
}

// An image in place of what was drawn there; edges as shares of the world, on whole pixels of the screen.
function place(context, view, image, edges) {
  const on = (value) => Math.round(value * view.ratio) / view.ratio;
  const [left, top, right, bottom] = edges.map((edge, at) => on(edge * view.scale - (at % 2 ? view.y : view.x)));
  if (right < 0 || bottom < 0 || left > view.width || top > view.height) return;
  context.clearRect(left, top, right - left, bottom - top);
  context.drawImage(image, left, top, right - left, bottom - top);
}

function mercatorY(lat) {
  const sine = Math.sin((Math.max(-85.0511, Math.min(85.0511, lat)) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}
