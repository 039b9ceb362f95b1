// Which pictures the axis of time has: observed ones, then those of one forecast.
import { overview } from "./api.js";

const PAST_MS = 2 * 3600e3;
const MOST_BYTES = 100e6; // and 20 MB of tiles
const FEWEST_OBSERVED = 3;
const SMALLEST = 384;

export const issueOf = (model, id) => model?.issues.find((one) => one.id === id) ?? model?.issues[0] ?? null;

export function framesOf(model, { issueId, layer: layerId, palette, isNarrow }) {
  if (!model?.bounds) return [];
  const issue = issueOf(model, issueId);
  const layer = model.layers.find((one) => one.id === layerId) ?? model.layers[0] ?? null;
  const isOld = issue && issue !== model.issues[0];
  const past = model.observed.filter((frame) => !isOld || frame.time <= issue.time);
  const latest = past.length ? Math.max(...past.map((frame) => frame.time)) : issue?.time ?? 0;
  const observed = layer?.kind === "coverage" ? [] : past.filter((frame) => frame.time >= latest - PAST_MS)
    .map((frame) => ({ ...frame, observed: true, layer: "rate", lead: 0 }));
  const leads = issue && layer ? layer.leads : [];
  const forecast = leads.map((lead) => ({
    id: issue.id, layer: layer.id, lead, time: issue.time + 60000 * lead, observed: false, issued: issue.time,
  })).filter((frame) => isOld || leads.length === 1 || frame.time > latest);
  return drawn(model, observed, forecast, palette, isNarrow);
}

// Pictures as large as all of them may be in memory; if even small ones are too many, fewer of the past.
function drawn(model, observed, forecast, palette, isNarrow) {
  const widths = isNarrow ? [768, 640] : [1024, 768, 640];
  const of = (frame, width) => model.pictures[frame.observed ? "observed" : "forecast"].find((one) => one.width === width);
  const every = [...observed, ...forecast].filter((frame) => of(frame, SMALLEST));
  const bytes = (frames, width) => frames.reduce((sum, frame) => sum + 4 * of(frame, width).pixels, 0);
  const fewer = [observed.slice(-13), observed.slice(-FEWEST_OBSERVED)].map((past) => every.filter((frame) => !frame.observed || past.includes(frame)));
  const choices = [every, ...fewer].flatMap((frames) => widths.map((width) => ({ frames, width })));
  const chosen = choices.find((one) => bytes(one.frames, one.width) <= MOST_BYTES) ?? { frames: fewer.at(-1), width: SMALLEST };
  return chosen.frames.sort((a, b) => a.time - b.time || b.observed - a.observed).map((frame) => ({
    ...frame,
    bounds: of(frame, chosen.width).bounds,
    url: overview(frame.id, frame.layer, frame.lead, chosen.width, palette),
  }));
}

export const latestOf = (frames) => frames.findLast((frame) => frame.observed) ?? frames[0] ?? null;

export const nearest = (frames, time) =>
  frames.reduce((best, one) => (!best || Math.abs(one.time - time) < Math.abs(best.time - time) ? one : best), null);

// What is shown first: the time of the link, or the latest observed picture; a layer of one time shows that.
export function firstOf(model, frames, { issue, minutes }) {
  const of = issueOf(model, issue);
  if (minutes !== undefined && of) return nearest(frames, of.time + 60000 * minutes);
  const forecast = frames.filter((frame) => !frame.observed);
  return forecast.length === 1 && forecast[0].layer !== "rate" ? forecast[0] : latestOf(frames);
}
