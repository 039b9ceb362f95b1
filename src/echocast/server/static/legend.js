// The legend of the layer that is shown, from the server; hatching says what colour alone would.
const SVG = "http://www.w3.org/2000/svg";

export function drawLegend(element, legend, title) {
  if (!legend) return element.replaceChildren();
  const head = document.createElement("p");
  head.className = "title";
  head.textContent = legend.unit && legend.unit !== "1" ? `${title} in ${told(legend.unit)}` : title;
  const list = document.createElement("ol");
  for (const one of legend.classes) {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = one.colour;
    if (isLikely(one, legend)) swatch.append(hatch("60", "14"));
    item.append(swatch, one.label || number(one.from, legend));
    list.append(item);
  }
  const none = document.createElement("p");
  none.className = "none";
  const box = hatch("20", "12");
  if (legend.unknown.colour) box.style.background = legend.unknown.colour;
  none.append(box, "not known: no radar looks here");
  element.replaceChildren(head, list, none);
  return undefined;
}

export const isProbability = (legend) => legend?.unit === "1" || legend?.unit === "%";

const isLikely = (one, legend) => isProbability(legend) && one.from >= (legend.unit === "%" ? 50 : 0.5);

const number = (value, legend) => (legend.unit === "1" ? `${Math.round(100 * value)} %` : String(value));

export const told = (unit) => ({ "mm h-1": "mm/h", "1": "%" })[unit] ?? unit;

// "2 to 5 mm/h"
export function inWords(one, legend) {
  if (!one) return "";
  if (one.label && one.to === null && !one.rgba) return one.label;
  if (one === legend.dry || one === legend.unknown) return one.label;
  const unit = told(legend.unit);
  const scale = legend.unit === "1" ? 100 : 1;
  const from = Math.round(one.from * scale * 100) / 100;
  return one.to === null ? `${from} ${unit} or more` : `${from} to ${Math.round(one.to * scale * 100) / 100} ${unit}`;
}

function hatch(width, height) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  let d = "";
  for (let x = -20; x < Number(width); x += 6) d += `M${x} 0l${height} ${height}`;
  path.setAttribute("d", d);
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1");
  svg.append(path);
  return svg;
}
