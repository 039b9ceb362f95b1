// What the page asks of the server, and what it makes of the answers. No other file knows an address of /v1.
// What stands before every address, where the server is not at the root of its host.
export const ROOT = new URL(import.meta.url).pathname.split("/static/")[0];

const WIDTHS = [1024, 768];
const MOST_BYTES = 120e6;

// Asks for the index at most once at a time; `null` when nothing has changed. Raises `Trouble` with its kind.
export class Index {
  constructor() {
    this.etag = null;
  }

  async ask() {
    const headers = this.etag ? { "If-None-Match": this.etag } : {};
    const answer = await request(`${ROOT}/v1/index.json`, { headers, cache: "no-store" });
    const isKept = answer.headers.get("X-Kept") === "1";
    if (answer.status === 304) return null;
    if (!answer.ok) throw new Trouble("server", answer.status, Number(answer.headers.get("Retry-After")) || 0);
    const content = await answer.json();
    this.etag = isKept ? null : answer.headers.get("ETag");
    return { ...readIndex(content), isKept };
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
    return await fetch(url, { ...options, signal: AbortSignal.timeout(15000) });
  } catch {
    throw new Trouble("offline");
  }
}

const ms = (text) => (text ? Date.parse(text) : null);

function readIndex(content) {
  const issues = content.issues ?? [];
  const newest = issues[0] ?? null;
  return {
    now: ms(content.now) ?? Date.now(),
    asked: Date.now(),
    state: content.state ?? (newest ? "ok" : "none"),
    reason: content.reason ?? "",
    staleAfter: 1000 * (content.stale_after_s ?? 1200),
    nextExpected: ms(content.next_expected),
    speed: content.clock_speed ?? 1,
    step: 1000 * (content.step_s ?? content.step ?? 300),
    bounds: unwrapped(content.bounds ?? content.grid?.bounds_wgs84 ?? null),
    attribution: [content.attribution].flat().filter(Boolean).join(" · "),
    model: content.model ?? "",
    layers: (content.layers ?? []).map(readLayer),
    palettes: content.palettes ?? ["cvd", "classic", "grey"],
    observed: (content.frames?.past ?? []).map((frame) => ({ time: ms(frame.time), id: frame.id })),
    issues: issues.map((issue) => ({
      id: issue.id,
      time: ms(issue.time),
      published: ms(issue.published),
      leads: issue.leads ?? [],
      layers: issue.layers ?? null,
      degraded: Boolean(issue.degraded),
    })),
  };
}

function unwrapped(bounds) {
  if (!bounds) return null;
  const [west, south, east, north] = bounds;
  return [west, south, east < west ? east + 360 : east, north];
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

// Pictures of the whole domain: as large as all of them together may be in memory.
export function pictureWidth(frames, bounds, isNarrow) {
  const height = (width) => (width * (mercator(bounds[3]) - mercator(bounds[1]))) / (((bounds[2] - bounds[0]) * Math.PI) / 180);
  const fits = WIDTHS.filter((width) => frames * width * height(width) * 4 <= MOST_BYTES);
  return isNarrow ? 768 : fits[0] ?? 768;
}

export const mostPictures = (width, bounds) => {
  const height = (width * (mercator(bounds[3]) - mercator(bounds[1]))) / (((bounds[2] - bounds[0]) * Math.PI) / 180);
  return Math.max(6, Math.floor(MOST_BYTES / (width * height * 4)));
};

const mercator = (lat) => Math.log(Math.tan(Math.PI / 4 + (Math.max(-85, Math.min(85, lat)) * Math.PI) / 360));

export const overview = (id, layer, lead, width, palette) =>
  `${ROOT}/v1/overview/${id}/${layer}/${lead}.png?width=${width}&palette=${palette}`;

export async function legend(layer, palette) {
  const answer = await request(`${ROOT}/v1/legend/${layer}.json?palette=${palette}`);
  if (!answer.ok) throw new Trouble("server", answer.status);
  return readLegend(await answer.json());
}

function readLegend(content) {
  const classes = (content.classes ?? []).map((one) => readClass(one));
  return {
    title: content.title ?? "",
    unit: content.units ?? content.unit ?? "",
    classes: classes.filter((one) => one.rgba?.[3] !== 0),
    dry: { label: content.dry ?? "no rain" },
    unknown: content.unknown ? { ...readClass({ ...content.unknown, colour: content.unknown.colour }), label: "not known" } : { label: "not known" },
  };
}

function readClass(one) {
  const colour = one.colour ?? one.color ?? null;
  return { from: one.from ?? one.min ?? 0, to: one.to ?? one.max ?? null, label: one.label ?? "", colour, rgba: rgba(colour) };
}

function rgba(colour) {
  if (!colour) return null;
  const hex = colour.replace("#", "");
  const bytes = [0, 2, 4, 6].map((at) => parseInt(hex.slice(at, at + 2) || "ff", 16));
  return bytes;
}

export const pointUrl = (lat, lon, form) => `${ROOT}/v1/point?lat=${lat.toFixed(4)}&lon=${lon.toFixed(4)}&f=${form}`;

export async function point(lat, lon) {
  const answer = await request(pointUrl(lat, lon, "json"));
  if (!answer.ok) throw new Trouble("server", answer.status);
  return readPoint(await answer.json());
}

export async function basemap() {
  const answer = await request(`${ROOT}/v1/basemap.json`);
  if (!answer.ok) throw new Trouble("server", answer.status);
  return answer.json();
}

// What stands in an answer of /v1/point, as lists by time.
function readPoint(content) {
  const series = content.series ?? [];
  const column = (of) => series.map((row) => of(row) ?? null);
  const isEnsemble = series.some((row) => (row.p50 ?? row.quantiles?.p50 ?? null) !== null && (row.p90 ?? row.quantiles?.p90 ?? null) !== null);
  const quantiles = {};
  for (const name of isEnsemble ? ["p10", "p25", "p50", "p75", "p90"] : []) quantiles[name] = column((row) => row[name] ?? row.quantiles?.[name]);
  const thresholds = Object.keys(series[0]?.probability ?? {}).map(Number).sort((a, b) => a - b);
  const arrival = content.arrival ?? null;
  return {
    coverage: content.coverage ?? "ok",
    summary: content.summary ?? "",
    issued: ms(content.issued ?? content.issue?.time),
    observed: content.observed_now ? { time: ms(content.observed_now.time), rate: content.observed_now.rate ?? null } : null,
    arrival: arrival && { p10: ms(arrival.p10), p50: ms(arrival.p50), p90: ms(arrival.p90) },
    isEnsemble,
    times: column((row) => ms(row.time)),
    rate: column((row) => row.rate),
    mean: column((row) => row.mean),
    quantiles,
    chances: thresholds.map((threshold) => ({ threshold, values: column((row) => row.probability?.[threshold]) })),
    amounts: (content.amounts ?? []).map((one) => ({
      span: one.span,
      amount: one.amount ?? null,
      chances: Object.entries(one.probability ?? {}).map(([threshold, value]) => ({ threshold: Number(threshold), value })),
    })),
  };
}
