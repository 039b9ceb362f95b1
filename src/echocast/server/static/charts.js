// The charts of the panel. The only file that knows uPlot.
let library = null;

// The library is loaded when a chart is first wanted: the map needs none.
export const ready = () => (library ??= new Promise((resolve, reject) => {
  const at = (name) => new URL(`./vendor/${name}`, import.meta.url).href;
  const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: at("uPlot.min.css") });
  const script = Object.assign(document.createElement("script"), { src: at("uPlot.iife.min.js") });
  script.addEventListener("load", resolve);
  script.addEventListener("error", () => {
    library = null;
    reject(new Error("the charts could not be loaded"));
  });
  document.head.append(style, script);
}));

export const CHANCE_COLOURS = ["#8fc4e8", "#5fa8dc", "#3a88c8", "#6f6fd0", "#9455b8", "#b83a86", "#c2333f"];

function base({ width, colours, tell }, height, y) {
  const axis = { stroke: colours.soft, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1, size: 4 }, font: "11px system-ui", gap: 3 };
  return {
    width,
    height,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    select: { show: false },
    scales: { x: { time: true }, y },
    axes: [
      { ...axis, values: (_, splits) => splits.map((second) => tell(1000 * second)), space: 56, size: 26 },
      { ...axis, size: 36, space: 28 },
    ],
  };
}

// A fan of 10-90 and 25-75 %, the median and the mean; without members one line.
export function drawRate(element, found, options) {
  const { colours } = options;
  const top = Math.max(1, ...[found.rate, found.mean, found.quantiles.p90 ?? []].flat().filter((value) => value !== null));
  const plot = base(options, 150, { range: [0, top * 1.08] });
  const line = (stroke, width, dash) => ({ stroke, width, dash, points: { show: false }, spanGaps: false });
  const fan = ["p10", "p90", "p25", "p75"].filter((name) => found.quantiles[name]);
  const hidden = fan.map(() => line("transparent", 0));
  plot.series = [{}, ...hidden];
  const fill = (share) => `color-mix(in srgb, ${colours.accent} ${share}%, transparent)`;
  plot.bands = [];
  const at = (name) => fan.indexOf(name) + 1;
  if (at("p10") && at("p90")) plot.bands.push({ series: [at("p90"), at("p10")], fill: fill(20) });
  if (at("p25") && at("p75")) plot.bands.push({ series: [at("p75"), at("p25")], fill: fill(32) });
  const data = [found.times.map((time) => time / 1000), ...fan.map((name) => found.quantiles[name])];
  if (found.isEnsemble) {
    plot.series.push(line(colours.soft, 2, [5, 4]));
    data.push(found.mean);
  }
  plot.series.push(line(colours.accent, 2.5));
  data.push(found.rate);
  return new globalThis.uPlot(plot, data, element);
}

// Bars of the probability of each threshold, in per cent; those of higher thresholds before the lower ones.
export function drawChance(element, found, options) {
  const plot = base(options, 120, { range: [0, 100] });
  const bars = globalThis.uPlot.paths.bars({ size: [0.8, 40], gap: 1 });
  plot.series = [{}, ...found.chances.map((_, at) => ({ fill: CHANCE_COLOURS[at % CHANCE_COLOURS.length], stroke: CHANCE_COLOURS[at % CHANCE_COLOURS.length], width: 0, paths: bars, points: { show: false } }))];
  const data = [found.times.map((time) => time / 1000), ...found.chances.map((one) => one.values.map((value) => (value === null ? null : 100 * value)))];
  return new globalThis.uPlot(plot, data, element);
}
