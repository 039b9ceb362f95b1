// The pictures of a loop: each loaded once, hidden until it is shown, and never replaced by nothing.
const AT_ONCE = 4;

export class Pictures {
  constructor(map, { imageOf, onShown, onLoaded, onError }) {
    this.map = map;
    this.imageOf = imageOf;
    this.onShown = onShown;
    this.onLoaded = onLoaded;
    this.onError = onError;
    this.kept = new Map();
    this.order = [];
    this.loading = 0;
    this.shown = null;
    this.wanted = null;
    this.opacity = 0.8;
    this.isCovered = false;
    this.failures = 0;
  }

  // The frames of the loop: [{url, bounds, ...}]; those that are no longer in it are removed, but for the one shown.
  use(frames) {
    this.frames = frames;
    const urls = new Set(frames.map((frame) => frame.url));
    for (const [url, entry] of this.kept) {
      if (!urls.has(url) && entry !== this.shown) this.#drop(url);
    }
    if (!this.shown) return;
    this.order = after(frames, this.wanted);
    this.more();
  }

  isReady = (frame) => this.kept.get(frame.url)?.state === "ready";

  // Show a frame as soon as it is loaded; until then the one before stays.
  async want(frame) {
    this.wanted = frame;
    this.order = [frame, ...after(this.frames, frame)];
    const entry = this.#entry(frame);
    if (this.shown) this.more(); // the first one comes alone, and so sooner
    try {
      await entry.loaded;
      await entry.picture.image.decode(); // else it would be blank for a moment
    } catch {
      return false;
    }
    if (this.wanted?.url !== frame.url) return false;
    this.#show(entry, frame);
    return true;
  }

  setOpacity(value) {
    this.opacity = value;
    this.shown?.picture.opacity(this.isCovered ? 0 : value);
  }

  // Whether the picture is drawn elsewhere, with its details.
  cover(isCovered) {
    if (this.isCovered === isCovered) return;
    this.isCovered = isCovered;
    this.setOpacity(this.opacity);
  }

  clear() {
    for (const url of [...this.kept.keys()]) this.#drop(url);
    this.shown = this.wanted = null;
  }

  #show(entry, frame) {
    if (this.shown !== entry) {
      this.shown?.picture.opacity(0);
      this.isCovered = false;
    }
    entry.picture.opacity(this.isCovered ? 0 : this.opacity);
    const before = this.shown;
    this.shown = entry;
    if (before && before !== entry && !this.frames.some((one) => one.url === before.url)) this.#drop(before.url);
    this.onShown(frame, entry.picture.image);
  }

  #entry(frame) {
    const known = this.kept.get(frame.url);
    if (known && known.state !== "failed") return known;
    const picture = this.map.picture(this.imageOf(frame.url), frame.bounds);
    const entry = { url: frame.url, picture, state: "loading", loaded: null };
    this.loading += 1;
    entry.loaded = picture.loaded.then(
      () => {
        entry.state = "ready";
        this.failures = 0;
      },
      (bad) => {
        entry.state = "failed";
        this.failures += 1;
        picture.remove();
        this.onError(bad, this.failures);
        throw bad;
      },
    ).finally(() => {
      this.loading -= 1;
      this.onLoaded();
      if (this.shown) this.more();
    });
    entry.loaded.catch(() => {});
    this.kept.set(frame.url, entry);
    return entry;
  }

  // A few at a time, those that come next first; after several failures only what is asked for.
  more() {
    for (const frame of this.order) {
      if (this.loading >= AT_ONCE || this.failures > 3) return;
      if (!this.kept.has(frame.url)) this.#entry(frame);
    }
  }

  #drop(url) {
    this.kept.get(url)?.picture.remove();
    this.kept.delete(url);
  }
}

function after(frames, frame) {
  const at = frames.findIndex((one) => one.url === frame.url);
  return [...frames.slice(at + 1), ...frames.slice(0, Math.max(at, 0))];
}
