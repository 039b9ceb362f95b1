// The first picture, asked for while the rest of the page is still loading: what main.js will show, if it can be told.
import { Index } from "./api.js";
import { firstOf, framesOf } from "./axis.js";
import { paletteOf } from "./colours.js";
import { readLink } from "./link.js";
import { recall } from "./store.js";

export const index = new Index();
const images = new Map();

export const first = index.ask().then((model) => {
  const link = readLink(location.hash);
  const layer = model.layers.some((one) => one.id === link.layer) ? link.layer : "rate";
  const palette = paletteOf(model, link.palette ?? recall("palette", "auto"));
  const frames = framesOf(model, { issueId: link.issue, layer, palette, isNarrow: innerWidth < 640 });
  const frame = firstOf(model, frames, link);
  if (frame) images.set(frame.url, load(frame.url, "high"));
  return model;
});
first.catch(() => {}); // main.js tells of it

// A picture that is loading; that of the beginning only once.
export function imageOf(url) {
  const known = images.get(url);
  images.delete(url);
  return known ?? load(url, "auto");
}

function load(url, priority) {
  const image = new Image();
  image.fetchPriority = priority;
  image.alt = "";
  image.src = url;
  return image;
}
