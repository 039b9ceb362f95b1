// The legend of the layer that is shown, from the server; hatching says what colour alone would.
const SVG = "http://www.w3.org/2000/svg";

export function drawLegend(element, legend, title) {
  if (!legend) return element.replaceChildren();
  const head = document.createElement("p");
  head.className = "title";
  head.textContent = legend.unit ? `${title} in ${legend.unit}` : title;
  const list = document.createElement("ol");
  const ink = inkOn(legend.classes.filter((one) => isLikely(one, legend)));
  for (const one of legend.classes) {
    const item = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = one.colour;
    if (isLikely(one, legend)) swatch.append(hatch("60", "14", ink));
    item.append(swatch, one.label);
    list.append(item);
  }
  const none = document.createElement("p");
  none.className = "none";
  const box = document.createElement("span");
  box.className = "swatch";
  box.style.background = `rgb(${legend.unknown.rgba.join(" ")} / .43)`;
  none.append(box, "not known: no radar looks here");
  element.replaceChildren(head, list, none);
  return undefined;
}

export const isProbability = (legend) => legend?.unit === "%";

export const isLikely = (one, legend) => isProbability(legend) && one.from >= 50;

// Lines that are seen on some classes: light on dark ones, dark on light ones.
export function inkOn(classes) {
  const light = (rgb) => (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]) / classes.length;
  return classes.reduce((sum, one) => sum + light(one.rgba), 0) > 128 ? "rgb(0 0 0 / .6)" : "rgb(255 255 255 / .6)";
}

// "2 to 5 mm/h"
export function inWords(one, legend) {
  if (!one.rgba || one === legend.unknown) return one.label;
  return one.to === null ? `${one.from} ${legend.unit} or more` : `${one.from} to ${one.to} ${legend.unit}`;
}

function hatch(width, height, ink) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  let d = "";
  for (let x = -20; x < Number(width); x += 6) d += `M${x} 0l${height} ${height}`;
  path.setAttribute("d", d);
  path.setAttribute("stroke", ink);
  path.setAttribute("stroke-width", "1");
  svg.append(path);
  return svg;
}
