// Which pictures the axis of time has: observed ones, then those of one forecast.
import { mostPictures, overview, pictureWidth } from "./api.js";

const PAST_MS = 2 * 3600e3;

export const issueOf = (model, id) => model?.issues.find((one) => one.id === id) ?? model?.issues[0] ?? null;

export function layersOf(model, issue) {
  return model.layers.filter((layer) => !issue?.layers || issue.layers.includes(layer.id) || issue.layers[layer.id]);
}

export function framesOf(model, { issueId, layer: layerId, palette, isNarrow }) {
  if (!model?.bounds) return [];
  const issue = issueOf(model, issueId);
  const layers = layersOf(model, issue);
  const layer = layers.find((one) => one.id === layerId) ?? layers[0];
  const isOld = issue && issue !== model.issues[0];
  const past = model.observed.filter((frame) => !isOld || frame.time <= issue.time);
  const latest = past.length ? Math.max(...past.map((frame) => frame.time)) : issue?.time ?? 0;
  const leads = issue && layer ? layer.leads ?? issue.leads : [];
  const wantsObserved = layer?.kind !== "coverage";
  const observed = past.filter((frame) => wantsObserved && frame.time >= latest - PAST_MS).map((frame) => ({
    ...frame, observed: true, layer: "rate", lead: 0,
  }));
  const forecast = leads.map((lead) => ({ id: issue.id, layer: layer.id, lead, time: issue.time + 60000 * lead, observed: false, issued: issue.time }))
    .filter((frame) => isOld || leads.length === 1 || frame.time > latest);
  const room = mostPictures(768, model.bounds);
  const kept = [...observed.slice(-Math.max(3, room - forecast.length)), ...forecast];
  const width = pictureWidth(kept.length, model.bounds, isNarrow);
  return kept.sort((a, b) => a.time - b.time || b.observed - a.observed)
    .map((frame) => ({ ...frame, bounds: model.bounds, url: overview(frame.id, frame.layer, frame.lead, width, palette) }));
}

export const latestOf = (frames) => frames.findLast((frame) => frame.observed) ?? frames[0] ?? null;
