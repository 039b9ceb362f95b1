// The forecast at a point: words, a meteogram with the spread of the members, probabilities, amounts, and a table.
import { CHANCE_COLOURS, drawChance, drawRate, ready } from "./charts.js";
import { clock, told, zoneName } from "./times.js";

const panel = document.getElementById("panel");

export class Panel {
  constructor({ onClose }) {
    this.onClose = onClose;
    this.charts = [];
    this.isTable = false;
    new ResizeObserver(() => this.charts.forEach((chart) => chart.setSize({ width: this.#width(), height: chart.height }))).observe(panel);
  }

  get isOpen() {
    return !panel.hidden;
  }

  // name: {title, place}, what stands in the heading.
  wait(name) {
    this.#frame(name, [text("p", "Asking for the forecast here …")]);
  }

  fail(name, why) {
    this.#frame(name, [text("p", why, "note")]);
  }

  close() {
    if (panel.hidden) return;
    this.#clear();
    panel.hidden = true;
    panel.replaceChildren();
  }

  focus() {
    panel.focus();
  }

  // found: as api.js reads it; name: of the place; zone: of the times; csv: an address.
  show(found, { name, zone, csv, now }) {
    const parts = [];
    if (found.summary) parts.push(text("p", localised(found, zone, now), "summary"));
    const note = NOTES[found.coverage];
    if (note) parts.push(text("p", note, "note"));
    if (found.observed) {
      const rate = found.observed.rate === null ? "not known" : amount(found.observed.rate, "mm/h");
      parts.push(text("p", `Observed at ${told(found.observed.time, now, zone)}: ${rate}.`));
    }
    if (found.arrival) parts.push(text("p", arrival(found.arrival, now, zone)));
    if (found.times.length) parts.push(...this.#content(found, zone, now, csv));
    if (found.issued) parts.push(text("p", `Issued ${told(found.issued, now, zone)} ${zoneName(found.issued, zone)}. Automatic, not an official warning.`, "small"));
    this.#frame(name, parts);
    this.#draw(found, zone);
  }

  #content(found, zone, now, csv) {
    const parts = [text("h3", `Rain rate in mm/h (times in ${zones(found, zone).join(", then ")})`), holder("chart-rate", "Chart of the rain rate; the table below holds the same numbers")];
    parts.push(key(found));
    if (found.chances.length) {
      parts.push(text("h3", "Probability in %"), holder("chart-chance", "Chart of probabilities; the table below holds the same numbers"), chanceKey(found.chances));
    }
    if (found.amounts.length) parts.push(text("h3", "Amount from the issue on, in mm"), amounts(found));
    const table = tableOf(found, zone, now);
    table.hidden = !this.isTable;
    const button = text("button", this.isTable ? "Hide the table" : "Show as a table");
    button.type = "button";
    button.setAttribute("aria-expanded", String(this.isTable));
    button.addEventListener("click", () => {
      this.isTable = !this.isTable;
      table.hidden = !this.isTable;
      button.setAttribute("aria-expanded", String(this.isTable));
      button.textContent = this.isTable ? "Hide the table" : "Show as a table";
    });
    const link = text("a", "Download CSV");
    link.href = csv;
    link.download = "";
    const links = document.createElement("p");
    links.className = "links";
    links.append(button, link);
    return [...parts, links, table];
  }

  async #draw(found, zone) {
    const rate = document.getElementById("chart-rate");
    if (!rate) return;
    try {
      await ready();
    } catch {
      return; // the table holds the same numbers
    }
    if (!rate.isConnected || rate.firstChild) return; // another point was opened meanwhile
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(["ink", "soft", "line", "accent", "observed", "forecast"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const tell = (ms) => clock(ms, zone);
    this.charts.push(drawRate(rate, found, { width: this.#width(), colours, tell }));
    const chance = document.getElementById("chart-chance");
    if (chance) this.charts.push(drawChance(chance, found, { width: this.#width(), colours, tell }));
  }

  #width = () => Math.max(220, panel.clientWidth - 26);

  #clear() {
    this.charts.forEach((chart) => chart.destroy());
    this.charts = [];
  }

  #frame(name, parts) {
    this.#clear();
    const head = document.createElement("div");
    head.className = "head";
    const close = text("button", "×", "close");
    close.type = "button";
    close.setAttribute("aria-label", "Close the forecast at this point");
    close.addEventListener("click", () => this.onClose());
    const heading = text("h2", name.title);
    heading.append(" ", text("small", name.place));
    head.append(heading, close);
    panel.replaceChildren(head, ...parts);
    panel.hidden = false;
  }
}

// The server tells times in UTC; the viewer reads them in the zone that was chosen.
function localised(found, zone, now) {
  const utc = (ms) => new Date(ms).toISOString().slice(11, 16);
  const sentence = found.summary.replace(/(\d\d:\d\d) UTC/g, (whole, at) => {
    const time = found.times.find((one) => utc(one) === at);
    return time === undefined ? whole : told(time, now, zone);
  });
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

const NOTES = {
  outside: "This point lies outside the area of the forecast. Nothing is known here.",
  no_data: "No radar looks here, or its data are missing. Nothing is known here, which is not the same as no rain.",
  stale: "The forecast is too old to be used: the radar data have stopped.",
};

// The names of the zone: two where summer time begins or ends.
const zones = ({ times }, zone) => [...new Set([times[0], times.at(-1)].map((ms) => zoneName(ms, zone)))];

function arrival({ p10, p50, p90 }, now, zone) {
  const middle = p50 ?? p90 ?? p10;
  if (middle === null) return "";
  const spread = p10 && p90 && p10 !== p90 ? ` (between ${told(p10, now, zone)} and ${told(p90, now, zone)})` : "";
  return `Rain arrives about ${told(middle, now, zone)}${spread}.`;
}

const amount = (value, unit) => (value === null ? "not known" : value < 0.1 ? `no rain (below 0.1 ${unit})` : `${round(value)} ${unit}`);

const round = (value) => (value === null ? "–" : value >= 10 ? value.toFixed(0) : value.toFixed(1));

const percent = (value) => (value === null ? "–" : `${Math.round(100 * value)}`);

function text(tag, content, name = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  if (name) made.className = name;
  return made;
}

function holder(id, label) {
  const made = text("div", "", "chart");
  made.id = id;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", label);
  return made;
}

function key(found) {
  const entries = found.isEnsemble
    ? [["k-median", "median"], ["k-mean", "mean"], ["k-inner", "25 to 75 % of the members"], ["k-outer", "10 to 90 %"]]
    : [["k-median", "forecast"]];
  return keyOf(entries.map(([name, label]) => [name, null, label]));
}

const chanceKey = (chances) => keyOf(chances.map((one, at) => ["", CHANCE_COLOURS[at % CHANCE_COLOURS.length], `at least ${one.threshold} mm/h`]));

function keyOf(entries) {
  const list = text("ul", "", "key");
  for (const [name, colour, label] of entries) {
    const item = document.createElement("li");
    const swatch = text("i", "", name);
    if (colour) swatch.style.background = colour;
    item.append(swatch, label);
    list.append(item);
  }
  return list;
}

function tableFrom(head, rows, caption) {
  const table = document.createElement("table");
  const top = table.createTHead().insertRow();
  for (const title of head) {
    const cell = text("th", title, title === head[0] ? "" : "number");
    cell.scope = "col";
    top.append(cell);
  }
  const body = table.createTBody();
  for (const values of rows) {
    const row = body.insertRow();
    values.forEach((value, at) => {
      const cell = text(at ? "td" : "th", value, at ? "number" : "");
      if (!at) cell.scope = "row";
      row.append(cell);
    });
  }
  const about = text("caption", caption, "hidden");
  table.prepend(about);
  return table;
}

function amounts(found) {
  const thresholds = [...new Set(found.amounts.flatMap((one) => one.chances.map((chance) => chance.threshold)))];
  const head = ["Within", "Amount", ...thresholds.map((value) => `P ≥ ${value} mm`)];
  const rows = found.amounts.map((one) => [
    `${one.span} min`,
    round(one.amount),
    ...thresholds.map((value) => {
      const chance = one.chances.find((other) => other.threshold === value);
      return chance ? `${percent(chance.value)} %` : "–";
    }),
  ]);
  const scroll = text("div", "", "scroll");
  scroll.append(tableFrom(head, rows, "Amounts"));
  return scroll;
}

function tableOf(found, zone, now) {
  const isAmbiguous = zones(found, zone).length > 1;
  const time = (ms) => told(ms, now, zone) + (isAmbiguous ? ` ${zoneName(ms, zone)}` : "");
  const columns = [["Time", (at) => time(found.times[at])], [found.isEnsemble ? "Median" : "Rate", (at) => round(found.rate[at])]];
  if (found.isEnsemble) {
    columns.push(["Mean", (at) => round(found.mean[at])]);
    for (const name of ["p10", "p25", "p75", "p90"]) columns.push([`${name.slice(1)} %`, (at) => round(found.quantiles[name]?.[at] ?? null)]);
  }
  for (const one of found.chances) columns.push([`P ≥ ${one.threshold}`, (at) => percent(one.values[at])]);
  const rows = found.times.map((_, at) => columns.map(([, of]) => of(at)));
  const scroll = text("div", "", "scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Table of the forecast");
  scroll.append(tableFrom(columns.map(([title]) => title), rows, "Rain rate in mm/h and probabilities in % by time"));
  return scroll;
}
