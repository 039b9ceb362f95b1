// What the page asks of the server, and what it makes of the answers. No other file knows an address of /v1.
// What stands before every address, where the server is not at the root of its host.
export const ROOT = new URL(import.meta.url).pathname.split("/static/")[0];

// Asks for the index at most once at a time; `null` when nothing has changed. Raises `Trouble` with its kind.
export class Index {
  constructor() {
    this.etag = null;
    this.begun = globalThis.firstIndex ?? null; // by theme.js
  }

  async ask() {
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    const { answer, at } = (await this.#begun()) ?? { answer: await request(`${ROOT}/v1/index.json`, { headers, cache: "no-store" }), at: Date.now() };
    const isKept = answer.headers.get("X-Kept") === "1";
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Trouble("server", answer.status, Number(answer.headers.get("Retry-After")) || 0);
    const content = await answer.json();
    this.etag = isKept ? null : answer.headers.get("ETag");
    return { ...readIndex(content), asked: at, isKept };
  }

  #begun() {
    const begun = this.begun;
    this.begun = null;
    return begun?.catch(() => {
      throw new Trouble("offline");
    });
  }
}

export class Trouble extends Error {
  constructor(kind, status = 0, retryAfter = 0) {
    super(`${kind} ${status}`);
    Object.assign(this, { kind, status, retryAfter });
  }
}

async function request(url, options = {}) {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(30000) });
  } catch {
    throw new Trouble("offline");
  }
}

const ms = (text) => (text ? Date.parse(text) : null);

function readIndex(content) {
  const observed = (content.frames ?? []).filter((frame) => frame.kind === "observed");
  return {
    now: ms(content.now) ?? Date.now(),
    speed: content.clock_speed ?? 1,
    name: content.name ?? "",
    staleAfter: 1000 * (content.stale_after_s ?? 1200),
    step: 1000 * (content.step_s ?? 300),
    bounds: content.grid?.bounds ?? content.observed_grid?.bounds ?? null,
    pictures: { forecast: readPictures(content.grid), observed: readPictures(content.observed_grid) },
    attribution: unescaped(content.attribution ?? ""),
    layers: (content.layers ?? []).map(readLayer).filter((one, at, all) => all.findIndex((other) => other.title === one.title) === at),
    palettes: content.palettes ?? [],
    palette: content.palette ?? "cvd",
    observed: observed.map((frame) => ({ time: ms(frame.time), id: frame.id })),
    issues: (content.issues ?? []).map((issue) => ({
      id: issue.id,
      time: ms(issue.time),
      published: ms(issue.published),
      degraded: Boolean(issue.degraded),
    })),
  };
}

// The server gives text that is safe in HTML; here it is shown as text.
const unescaped = (text) => new DOMParser().parseFromString(text, "text/html").body.textContent;

// Of each width the size in pixels and the place (west, south, east, north) of a picture of the whole domain.
function readPictures(grid) {
  return Object.entries(grid?.overview ?? {}).map(([width, { size, bounds: [[south, west], [north, east]] }]) => ({
    width: Number(width), pixels: size[0] * size[1], bounds: [west, south, east, north],
  }));
}

const KINDS = [
  ["rate", "Rain rate"],
  ["amount", "Rain amount"],
  ["prob.rate", "Probability of rain rate"],
  ["prob.amount", "Probability of rain amount"],
  ["coverage", "Coverage"],
];

function readLayer(layer) {
  const id = layer.id ?? layer.name;
  const kind = KINDS.findLast(([name]) => id === name || id.startsWith(`${name}.`)) ?? ["other", "Other"];
  return { id, kind: kind[0], group: kind[1], title: capital(layer.title ?? id), leads: layer.leads ?? null };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export const overview = (id, layer, lead, width, palette) =>
  `${ROOT}/v1/overview/${id}/${layer}/${lead}.png?width=${width}&palette=${palette}`;

export const tile = (id, layer, lead, z, x, y, palette) => `${ROOT}/v1/tiles/${id}/${layer}/${lead}/${z}/${x}/${y}.png?palette=${palette}`;

export async function legend(layer, palette) {
  const answer = await request(`${ROOT}/v1/legend/${layer}.json?palette=${palette}`);
  if (!answer.ok) throw new Trouble("server", answer.status);
  return readLegend(await answer.json());
}

function readLegend(content) {
  const classes = (content.classes ?? []).map(readClass);
  return {
    title: content.title ?? "",
    unit: content.units ?? "",
    classes,
    dry: { label: "no rain" },
    unknown: { ...readClass(content.not_known ?? {}), label: "not known" },
  };
}

function readClass({ from = 0, to = null, label = "", color = null }) {
  const rgba = color && [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return { from, to, label, colour: color, rgba };
}

export const pointUrl = (lat, lon, form, issue) =>
  `${ROOT}/v1/point?lat=${lat.toFixed(4)}&lon=${lon.toFixed(4)}&f=${form}${issue ? `&issue=${issue}` : ""}`;

export async function point(lat, lon, issue) {
  const answer = await request(pointUrl(lat, lon, "json", issue));
  if (!answer.ok) throw new Trouble("server", answer.status);
  return readPoint(await answer.json());
}

export async function basemap() {
  const answer = await request(`${ROOT}/v1/basemap.json`);
  if (!answer.ok) throw new Trouble("server", answer.status);
  return answer.json();
}

// What stands in an answer of /v1/point, as lists by time; null is what is not known.
function readPoint(content) {
  const series = content.series ?? [];
  const column = (of) => series.map((row) => of(row) ?? null);
  const isEnsemble = series.some((row) => "p90" in row);
  const quantiles = {};
  for (const name of isEnsemble ? ["p10", "p25", "p50", "p75", "p90"] : []) quantiles[name] = column((row) => row[name]);
  const thresholds = Object.keys(series[0]?.probability ?? {}).sort((a, b) => a - b);
  const issued = ms(content.issue?.time);
  return {
    coverage: content.coverage,
    summary: content.summary ?? "",
    issued,
    observed: content.observed_now && { time: ms(content.observed_now.time), rate: content.observed_now.rate },
    arrival: readArrival(content.arrival, issued),
    isEnsemble,
    times: column((row) => ms(row.time)),
    rate: column((row) => row.rate),
    mean: column((row) => row.mean),
    quantiles,
    chances: thresholds.map((threshold) => ({ threshold: Number(threshold), values: column((row) => row.probability?.[threshold]) })),
    amounts: (content.amounts ?? []).map((one) => ({
      span: one.minutes,
      amount: one.amount,
      chances: Object.entries(one.probability ?? {}).map(([threshold, value]) => ({ threshold: Number(threshold), value })),
    })),
  };
}

// Minutes from the issue as times; null where rain does not come, or it is not known.
function readArrival(arrival, issued) {
  if (!arrival || issued === null) return null;
  const at = (minutes) => (minutes === null || minutes === undefined ? null : issued + 60000 * minutes);
  return { p10: at(arrival.p10), p50: at(arrival.p50 ?? arrival.rate), p90: at(arrival.p90) };
}
