// The class of a pixel of the picture that is shown, found by its colour; and the hatching of probabilities.
import { inkOn, isLikely } from "./legend.js";

export class Pixels {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.image = null;
    this.detail = null;
  }

  use(image, bounds) {
    this.image = image;
    this.bounds = bounds;
    this.data = null;
  }

  // [red, green, blue, alpha], or null outside the picture.
  at(lat, lon) {
    if (!this.image) return null;
    const cell = this.detail?.at(lat, lon);
    if (cell) return cell;
    const [west, south, east, north] = this.bounds;
    const x = (lon - west) / (east - west);
    const y = (mercator(north) - mercator(lat)) / (mercator(north) - mercator(south));
    if (!(x >= 0 && x < 1 && y >= 0 && y < 1)) return null;
    const { data, width, height } = this.read();
    const at = 4 * (Math.floor(y * height) * width + Math.floor(x * width));
    return data.subarray(at, at + 4);
  }

  read() {
    if (!this.data) {
      this.canvas.width = this.image.naturalWidth;
      this.canvas.height = this.image.naturalHeight;
      this.context.drawImage(this.image, 0, 0);
      this.data = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    }
    return this.data;
  }
}

function mercator(lat) {
  return Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360));
}

// The class of a legend whose colour is nearest; null for a colour of none.
export function classOf(pixel, legend) {
  if (!pixel || !legend) return null;
  if (pixel[3] < 8) return legend.dry;
  if (pixel[3] < 200) return legend.unknown;
  let best = null;
  for (const one of legend.classes) {
    const [r, g, b] = one.rgba;
    const far = (r - pixel[0]) ** 2 + (g - pixel[1]) ** 2 + (b - pixel[2]) ** 2;
    if (!best || far < best.far) best = { one, far };
  }
  return best && best.far < 1200 ? best.one : null;
}

// Diagonal lines where a probability is one half or more, so that it does not depend on colour alone.
// `drawn`: pixels of the same view, where the picture was drawn with its details.
export function drawHatching(context, view, pixels, legend, drawn = null) {
  const likely = legend.classes.filter((one) => isLikely(one, legend));
  if (!likely.length || !pixels.image) return;
  const { data, width, height } = drawn ?? pixels.read();
  const key = new Set(likely.map((one) => (one.rgba[0] << 16) | (one.rgba[1] << 8) | one.rgba[2]));
  const [west, south, east, north] = pixels.bounds;
  const left = ((west + 180) / 360) * view.scale - view.x;
  const across = ((east - west) / 360) * view.scale;
  const yOf = (lat) => (0.5 - mercator(lat) / (2 * Math.PI)) * view.scale - view.y;
  const [top, down] = [yOf(north), yOf(south) - yOf(north)];
  const columnOf = drawn ? (x) => Math.floor(x * view.ratio) : (x) => Math.floor(((x - left) / across) * width);
  const rowOf = drawn ? (y) => Math.floor(y * view.ratio) : (y) => Math.floor(((y - top) / down) * height);
  context.strokeStyle = inkOn(likely);
  context.lineWidth = 1;
  context.beginPath();
  const gap = 7;
  for (let c = -view.height; c < view.width; c += gap) {
    let open = false;
    for (let y = 0; y <= view.height; y += 2) {
      const i = columnOf(c + y);
      const j = rowOf(y);
      const at = 4 * (j * width + i);
      const inside = i >= 0 && i < width && j >= 0 && j < height && data[at + 3] > 8
        && key.has((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
      if (inside && !open) context.moveTo(c + y, y);
      if (!inside && open) context.lineTo(c + y, y);
      open = inside;
    }
    if (open) context.lineTo(c + view.height, view.height);
  }
  context.stroke();
}
