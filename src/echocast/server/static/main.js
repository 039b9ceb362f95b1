// The page: what was chosen, what is shown, and one timer that keeps it fresh.
import { ROOT, Trouble, basemap, legend, point, pointUrl } from "./api.js";
import { firstOf, framesOf, issueOf, latestOf } from "./axis.js";
import { Basemap } from "./basemap.js";
import { ready } from "./charts.js";
import { pageColours, paletteOf } from "./colours.js";
import { startControls } from "./controls.js";
import { Detail } from "./detail.js";
import { first, imageOf, index } from "./early.js";
import { startKeys } from "./keys.js";
import { makeMap } from "./leaflet-map.js";
import { drawLegend, inWords, isProbability } from "./legend.js";
import { readLink, writeLink } from "./link.js";
import { Panel } from "./panel.js";
import { Pictures } from "./frames.js";
import { Pixels, classOf, drawHatching } from "./pixels.js";
import { Player } from "./player.js";
import { startSearch } from "./search.js";
import { makeState, recall, remember } from "./store.js";
import { Timeline } from "./timeline.js";
import { condition, label } from "./words.js";

const ASK_MS = 30e3;
const SOONEST_MS = 2e3;
const BEAT_MS = 2e3;
const byId = (id) => document.getElementById(id);
// Marks when something was drawn for the first time (`python -m benchmarks page` reads it).
const seen = (name) => requestAnimationFrame(() => performance.getEntriesByName(name).length || performance.mark(name));
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

const state = makeState({
  model: null, trouble: null, lost: false, issueId: null, layer: "rate", palette: recall("palette", "auto"),
  zone: recall("zone", "local"), opacity: Number(recall("opacity", "0.8")), frames: [], shown: null, follow: true, point: null, notice: "",
});
const map = makeMap(byId("map"), { still });
const pixels = new Pixels();
const legends = new Map();
let ground = null;
let wantsGround = false;
// The server's clock: an hour and how fast it runs (a demonstration runs faster than life).
let time = { server: Date.now(), here: Date.now(), speed: 1 };
const now = () => time.server + (Date.now() - time.here) * time.speed;

const pictures = new Pictures(map, {
  imageOf,
  onShown(frame, image) {
    pixels.use(image, frame.bounds);
    seen("first-picture");
    state.set({ shown: frame });
    drawGround();
    drawDetail();
    marks.redraw();
    pictures.more();
  },
  onLoaded: () => timeline.mark(now(), pictures.isReady),
  onError(_, failures) {
    if (failures > 2) state.set({ trouble: new Trouble("pictures") });
  },
});
const timeline = new Timeline((frame) => choose(frame, { byHand: true }));
const player = new Player({
  next: () => neighbour(1, true),
  show: (frame) => choose(frame),
  isLast: (frame) => frame === state.get().frames.at(-1),
  onChange(isPlaying) {
    byId("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    drawDetail();
    if (!isPlaying) writeAddress();
  },
});
const panel = new Panel({ onClose: () => closePoint(true) });
const groundCanvas = map.canvas("ground", (context, view) => ground.ground(context, view, pageColours()), () => ground !== null);
const detail = new Detail({
  onChange() {
    details.redraw();
    marks.redraw();
  },
});
pixels.detail = detail;
const details = map.canvas("pictures", (context, view) => {
  detail.draw(context, view);
  pictures.cover(detail.isActive);
}, () => detail.shown !== null);
const marks = map.canvas("marks", (context, view) => {
  drawHatching(context, view, pixels, legends.get(legendKey()), detail.isActive ? details.read() : null);
}, () => isProbability(legends.get(legendKey())) && pixels.image !== null);
const lineCanvas = map.canvas("lines", (context, view) => ground.lines(context, view, pageColours()), () => ground !== null);
const redraw = () => [groundCanvas, marks, lineCanvas].forEach((canvas) => canvas.redraw());

// While the loop plays, pictures do: tiles would come late.
function drawDetail() {
  const { shown } = state.get();
  const isStill = shown && !player.isPlaying && pictures.wanted?.url === shown.url;
  detail.use(isStill ? { ...shown, image: pixels.image } : null, paletteInUse());
}

// ---- time
function neighbour(step, around = false) {
  const { frames, shown } = state.get();
  if (!frames.length) return null;
  const wanted = pictures.wanted ?? shown;
  const at = frames.findIndex((frame) => frame.url === wanted?.url);
  const next = at + step;
  if (around) return frames[(next + frames.length) % frames.length];
  return frames[Math.max(0, Math.min(frames.length - 1, next))];
}

function choose(frame, { byHand = false } = {}) {
  if (!frame) return Promise.resolve(false);
  if (byHand) {
    player.stop();
    state.set({ follow: frame === latestOf(state.get().frames) });
    announce(frame);
    setTimeout(writeAddress, 0);
  } else if (player.isPlaying) state.set({ follow: false });
  return pictures.want(frame);
}

function announce(frame) {
  const said = label(frame, now(), state.get().zone);
  speak(`${said.kind} ${said.clock}`);
}

// For those who hear the page: what they did, and what has gone wrong or right; never what only grows older.
function speak(text) {
  byId("live").textContent = text;
}

// ---- what is shown
// `link`: what an address wants, in place of the time that is shown.
function rebuild({ link = null } = {}) {
  if (!state.get().model) return;
  const { model, layer, issueId, shown, follow } = state.get();
  const wanted = pictures.wanted ?? shown;
  const frames = framesOf(model, { issueId, layer, palette: paletteInUse(), isNarrow: map.isNarrow() });
  state.set({ frames });
  pictures.use(frames);
  timeline.use(frames, model?.step ?? 300e3, state.get().zone);
  timeline.mark(now(), pictures.isReady);
  if (!frames.length) return;
  const minutes = link ? link.minutes : follow || !wanted ? undefined : null;
  let next = minutes === null ? timeline.nearest(wanted.time) : firstOf(model, frames, { issue: issueId, minutes });
  const only = frames.filter((frame) => !frame.observed);
  if (next?.observed && only.length === 1 && only[0].layer !== "rate") next = only[0];
  if (next.url !== wanted?.url || next.url !== shown?.url) pictures.want(next);
  drawLayers();
  keepOffline();
}

function paletteInUse() {
  return paletteOf(state.get().model, state.get().palette);
}

function legendKey() {
  return `${state.get().shown?.layer}|${paletteInUse()}`;
}

async function showLegend() {
  const { shown, model } = state.get();
  if (!shown) return drawLegend(byId("legend"), null);
  const wanted = legendKey();
  if (!legends.has(wanted)) {
    try {
      legends.set(wanted, await legend(shown.layer, paletteInUse()));
    } catch {
      return undefined;
    }
    if (wanted !== legendKey()) return undefined;
    marks.redraw();
  }
  const title = model.layers.find((one) => one.id === shown.layer)?.title ?? "Rain rate";
  return drawLegend(byId("legend"), legends.get(wanted), shown.observed ? "Observed rain rate" : title);
}

function showLabel() {
  const { shown, zone, model } = state.get();
  for (const name of ["back", "play", "forward", "latest"]) byId(name).disabled = !shown;
  if (!shown) {
    byId("detail").textContent = model ? "No picture yet" : "";
    return;
  }
  const said = label(shown, now(), zone);
  byId("time").dataset.kind = shown.observed ? "observed" : "forecast";
  byId("kind").textContent = said.kind;
  byId("clock").textContent = said.clock;
  byId("detail").textContent = said.detail;
  timeline.show(shown, player.isPlaying ? null : `${said.kind} ${said.clock}`);
}

let told = "";
function showCondition() {
  const { model, trouble, zone, frames, issueId, lost, notice } = state.get();
  const issue = issueOf(model, issueId);
  const latest = model?.observed.reduce((best, one) => (!best || one.time > best.time ? one : best), null) ?? null;
  const said = condition({ model, trouble, now: now(), zone, latest, issue, lost, notice, isOld: Boolean(issue && issue !== model.issues[0]) });
  const fresh = byId("freshness");
  fresh.dataset.state = said.state;
  if (fresh.textContent !== said.text) fresh.textContent = said.text;
  controls.banner(said);
  const about = said.banner && [said.state, trouble?.kind, trouble?.status, lost, notice, issue?.id].join();
  if (about !== told) speak(said.banner || said.text);
  told = about;
  const dim = said.state === "stale" ? 0.5 : 1;
  pictures.setOpacity(state.get().opacity * dim);
  details.opacity(state.get().opacity * dim);
  byId("app").dataset.state = !frames.length && model ? "none" : said.state;
}

function drawLayers() {
  const { model, layer } = state.get();
  controls.layers(model.layers, layer);
  byId("credit").textContent = [model.attribution, ground?.attribution].filter(Boolean).join(" · ");
  byId("source").textContent = model.attribution ? `Radar: ${model.attribution}.` : "";
}

// ---- a point
async function openPoint(lat, lon, { name = null, focus = false, push = true } = {}) {
  const title = name ?? ground?.nearest(lat, lon)?.name ?? "Forecast at a point";
  const heading = { title, place: `${lat.toFixed(2)}, ${lon.toFixed(2)}` };
  state.set({ point: { lat, lon } });
  map.pin(lat, lon);
  panel.wait(heading);
  if (focus) panel.focus();
  if (push) writeAddress(true);
  const asked = state.get().point;
  try {
    const found = await point(lat, lon, state.get().issueId);
    if (state.get().point !== asked) return;
    if (!focus) speak(`${title}: ${found.summary || "nothing is known here"}`);
    panel.show(found, { name: heading, zone: state.get().zone, csv: pointUrl(lat, lon, "csv", state.get().issueId), now: now() });
  } catch (bad) {
    if (state.get().point !== asked) return;
    panel.fail(heading, bad.kind === "offline" ? "No connection: the forecast of a point needs the server." : `The server gave no forecast of this point (status ${bad.status}).`);
  }
  if (focus) panel.focus();
  map.reveal(lat, lon, byId("panel"));
}

function closePoint(push = false) {
  if (!state.get().point) return;
  const hadFocus = byId("panel").contains(document.activeElement);
  panel.close();
  map.pin(null);
  state.set({ point: null });
  if (hadFocus) byId("map").focus();
  if (push) writeAddress(true);
}

// ---- the address
let written = "";
let isLinked = false;
function address(withIssue = false) {
  const { layer, palette, point: place, shown, follow, issueId, model } = state.get();
  const issue = issueOf(model, issueId);
  const wanted = pictures.wanted ?? shown;
  const minutes = follow || !wanted || !issue ? null : Math.round((wanted.time - issue.time) / 60000);
  return writeLink({ view: map.view(), minutes, layer, palette: palette === "auto" ? null : palette, point: place, issue: withIssue ? issue?.id : issueId });
}

function writeAddress(push = false) {
  if (!isLinked) return;
  const next = address();
  if (next === written) return;
  written = next;
  history[push ? "pushState" : "replaceState"](null, "", next);
}

function readAddress(isFirst) {
  const link = readLink(location.hash);
  written = location.hash;
  const { model } = state.get();
  isLinked = false;
  const isKnown = !link.issue || model.issues.some((one) => one.id === link.issue);
  const change = { lost: isFirst && !isKnown, issueId: isKnown && link.issue !== model.issues[0]?.id ? link.issue ?? null : null };
  if (link.layer && model.layers.some((one) => one.id === link.layer)) change.layer = link.layer;
  if (link.palette && model.palettes.includes(link.palette)) change.palette = link.palette;
  state.set(change);
  if (link.view) map.go(link.view);
  state.set({ follow: link.minutes === undefined });
  rebuild({ link });
  const { point: open } = state.get();
  if (link.point && (link.point.lat !== open?.lat || link.point.lon !== open?.lon)) openPoint(link.point.lat, link.point.lon, { push: false });
  else if (!link.point) closePoint();
  isLinked = true;
  return link;
}

// ---- freshness: one timer
let nextAsk = 0;
let failures = 0;
let asking = false;
let isFirst = true;

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const model = await (isFirst ? first : index.ask());
    failures = 0;
    if (model) take(model);
    state.set({ trouble: model?.isKept ? new Trouble("offline") : null });
    if (!model?.isKept) pictures.failures = 0;
    nextAsk = Date.now() + Math.max(SOONEST_MS, ASK_MS / time.speed);
  } catch (bad) {
    failures += 1;
    state.set({ trouble: bad instanceof Trouble ? bad : new Trouble("offline") });
    nextAsk = Date.now() + Math.max(1000 * (bad.retryAfter ?? 0), Math.min(300e3, 5e3 * 2 ** failures));
  } finally {
    asking = isFirst = false;
  }
}

function take(model) {
  const { model: before, issueId } = state.get();
  const here = Date.now();
  time = model.isKept ? { server: here, here, speed: 1 } : { server: model.now, here: model.asked, speed: model.speed };
  state.set({ model });
  if (issueId && !model.issues.some((one) => one.id === issueId)) state.set({ issueId: null, lost: true });
  if (String(before?.bounds) !== String(model.bounds)) enter(model);
  if (!before) {
    const link = readAddress(true);
    controls.palettes(["auto", ...model.palettes], state.get().palette);
    if (!still && link.minutes === undefined && state.get().frames.length > 2 && !model.isKept) player.start();
  } else rebuild();
}

function enter(model) {
  if (model.bounds && !readLink(location.hash).view) map.fit(model.bounds);
  ground = null;
  wantsGround = true;
}

// After the radar, since it is larger and the server may have to make it; tried again until it is there.
async function drawGround() {
  const { model, shown } = state.get();
  if (!wantsGround || (model.bounds && !shown)) return;
  wantsGround = false;
  try {
    ground = new Basemap(await basemap());
    if (model.bounds) map.limit(ground.box, model.bounds);
    redraw();
    seen("basemap");
    drawLayers();
    startOffline();
  } catch {
    wantsGround = true;
  }
}

async function beat() {
  if (document.hidden) return;
  if (Date.now() >= nextAsk) await ask();
  drawGround();
  timeline.mark(now(), pictures.isReady);
  showLabel();
  showCondition();
}

// ---- without a network
function keepOffline() {
  const worker = navigator.serviceWorker?.controller;
  const { frames, model } = state.get();
  if (!worker || model?.isKept) return;
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => new URL(name).origin === location.origin);
  const page = loaded.filter((name) => /\/static\/|\/v1\/legend\//.test(name));
  worker.postMessage({ keep: ["/", "/v1/index.json", "/v1/basemap.json"].map((path) => ROOT + path).concat(page, frames.map((frame) => frame.url)), isWhole: true });
}

let isKeeping = false;
// After everything that is seen, since it asks for all of it again.
function startOffline() {
  if (isKeeping || !navigator.serviceWorker) return;
  isKeeping = true;
  ready().catch(() => {}).then(() => navigator.serviceWorker.register(`${ROOT}/sw.js`)).then(() => navigator.serviceWorker.ready).then(() => {
    if (navigator.serviceWorker.controller) keepOffline();
    else navigator.serviceWorker.addEventListener("controllerchange", keepOffline, { once: true });
  }).catch(() => {});
}

// ---- begin
const controls = startControls({
  onLayer(layer) {
    state.set({ layer });
    rebuild();
    writeAddress(true);
  },
  onPalette(palette) {
    remember("palette", palette);
    state.set({ palette });
    rebuild();
    writeAddress();
  },
  onOpacity(value) {
    remember("opacity", String(value));
    state.set({ opacity: value });
  },
  onZone(zone) {
    remember("zone", zone);
    state.set({ zone });
    rebuild();
    const { point: place } = state.get();
    if (place) openPoint(place.lat, place.lon, { push: false });
  },
  onTheme() {
    redraw();
    rebuild();
    const { point: place } = state.get();
    if (place) openPoint(place.lat, place.lon, { push: false });
  },
  onShare: () => new URL(address(true), location.href).href,
  onNewest() {
    state.set({ issueId: null, lost: false, follow: true });
    rebuild();
    writeAddress(true);
  },
  onDismiss: () => state.set({ lost: false, notice: "" }),
  onNotice: (notice) => state.set({ notice }),
  onHere: (lat, lon) => find({ lat, lon, name: "My position" }),
  zone: state.get().zone,
  opacity: state.get().opacity,
});

const find = ({ lat, lon, name }) => {
  map.show(lat, lon);
  openPoint(lat, lon, { name, focus: true });
};
const actions = {
  play: () => player.toggle(),
  back: () => choose(neighbour(-1), { byHand: true }),
  forward: () => choose(neighbour(1), { byHand: true }),
  latest: () => choose(latestOf(state.get().frames), { byHand: true }),
  end: () => choose(state.get().frames.at(-1), { byHand: true }),
  layers: () => controls.toggleLayers(),
  point() {
    const { lat, lon } = map.view();
    openPoint(lat, lon, { focus: true });
  },
  zoomIn: () => map.zoomBy(1),
  zoomOut: () => map.zoomBy(-1),
  help: () => controls.help(),
  escape: () => controls.escape() || closePoint(true),
};
startKeys(actions);
startSearch({ search: (text) => ground?.search(text) ?? [], onFound: find });
for (const name of ["play", "back", "forward", "latest"]) byId(name).addEventListener("click", actions[name]);
byId("speed").addEventListener("change", (event) => {
  player.speed = Number(event.target.value);
});
state.on((_, changed) => {
  if (changed.has("shown")) {
    showLabel();
    showLegend();
  }
  if (["trouble", "model", "zone", "opacity", "lost", "notice", "issueId", "frames"].some((name) => changed.has(name))) showCondition();
});
map.onClick((lat, lon) => openPoint(lat, lon));
map.onMove(() => writeAddress());
map.onHover((lat, lon) => {
  const chip = byId("under");
  const one = legends.get(legendKey());
  const found = lat === null ? null : classOf(pixels.at(lat, lon), one);
  chip.hidden = !found;
  if (found) chip.textContent = `${lat.toFixed(2)}, ${lon.toFixed(2)}: ${inWords(found, one)}`;
});
addEventListener("popstate", () => state.get().model && readAddress(false));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  redraw();
  rebuild();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) player.stop();
  else {
    nextAsk = 0;
    beat();
  }
});
addEventListener("online", () => {
  nextAsk = 0;
  beat();
});
setInterval(beat, BEAT_MS);
beat();
