// Coasts, borders and places, drawn on two canvases: the ground below the radar pictures, lines and names above them.
const STEP = { land: 3, lakes: 3, borders: 2, regions: 2 };

const mercatorX = (lon) => (lon + 180) / 360;
function mercatorY(lat) {
  const sine = Math.sin((Math.max(-85.05, Math.min(85.05, lat)) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
}

export class Basemap {
  constructor(content) {
    const unit = 10 ** -content.decimals;
    this.box = content.box;
    const [west, south, east, north] = content.box;
    this.edges = [mercatorX(west), mercatorY(north), mercatorX(east), mercatorY(south)];
    this.layers = {};
    for (const name of Object.keys(STEP)) this.layers[name] = content[name].map((part) => points(part, unit));
    this.places = content.places.map(([name, lon, lat, people]) => ({ name, lon, lat, people, x: mercatorX(lon), y: mercatorY(lat) }));
    this.attribution = content.attribution;
  }

  // Places whose names begin with, or hold, some letters; the largest first.
  search(text, most = 6) {
    const wanted = plain(text);
    if (!wanted) return [];
    const begin = [];
    const hold = [];
    for (const place of this.places) {
      const name = (place.plain ??= plain(place.name));
      if (name.startsWith(wanted)) begin.push(place);
      else if (name.includes(wanted)) hold.push(place);
      if (begin.length === most) break;
    }
    return [...begin, ...hold].slice(0, most);
  }

  // The name of the place that a point lies in or near (km), or null.
  nearest(lat, lon, within = 8) {
    let best = null;
    for (const place of this.places) {
      const x = (place.lon - lon) * 111.2 * Math.cos((lat * Math.PI) / 180);
      const km = Math.hypot(x, (place.lat - lat) * 111.2);
      if (km <= within && (!best || km < best.km)) best = { name: place.name, km };
    }
    return best;
  }

  ground(context, view, colours) {
    const [left, top, right, bottom] = this.edges.map((value, at) => value * view.scale - (at % 2 ? view.y : view.x));
    context.fillStyle = colours.field;
    context.fillRect(0, 0, view.width, view.height);
    context.fillStyle = colours.sea;
    context.fillRect(left, top, right - left, bottom - top);
    for (const [name, colour] of [["land", colours.land], ["lakes", colours.lake]]) {
      context.fillStyle = colour;
      context.beginPath();
      for (const part of visible(this.layers[name], view)) trace(context, part, view);
      context.fill("evenodd");
    }
  }

  lines(context, view, colours) {
    context.lineJoin = "round";
    const strokes = [
      ["lakes", colours.coast, 0.7, [], 0.45],
      ["regions", colours.region, 0.8, [4, 3], view.zoom >= 5 ? 0.9 : 0],
      ["land", colours.coast, 1.1, [], 0.95],
      ["borders", colours.border, 1.5, [], 0.95],
    ];
    for (const [name, colour, width, dash, alpha] of strokes) {
      if (!alpha) continue;
      context.globalAlpha = alpha;
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      const smallest = ({ lakes: 14, regions: 14 }[name] ?? 0) / view.scale;
      for (const part of visible(this.layers[name], view)) {
        if (part.size >= smallest) trace(context, part, view, this.edges);
      }
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    this.names(context, view, colours);
  }

  // The largest places whose names fit beside each other.
  names(context, view, colours) {
    const taken = [];
    const most = Math.round((view.width * view.height) / 26000);
    context.font = "500 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.lineJoin = "round";
    for (const place of this.places) {
      if (taken.length >= most) break;
      const x = place.x * view.scale - view.x;
      const y = place.y * view.scale - view.y;
      if (x < 0 || y < 0 || x > view.width || y > view.height) continue;
      const width = context.measureText(place.name).width;
      const box = [x - 12, y - 12, x + width + 16, y + 12];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      context.fillStyle = context.strokeStyle = colours.halo;
      context.beginPath();
      context.arc(x, y, 3.4, 0, 7);
      context.fill();
      context.globalAlpha = 0.85;
      context.strokeText(place.name, x + 6, y);
      context.globalAlpha = 1;
      context.fillStyle = colours.label;
      context.beginPath();
      context.arc(x, y, 2.2, 0, 7);
      context.fill();
      context.fillText(place.name, x + 6, y);
    }
  }
}

function points(part, unit) {
  const found = new Float64Array(part.length);
  let [lon, lat] = [0, 0];
  let [left, top, right, bottom] = [9, 9, -9, -9];
  for (let i = 0; i < part.length; i += 2) {
    lon += part[i];
    lat += part[i + 1];
    const x = (found[i] = mercatorX(lon * unit));
    const y = (found[i + 1] = mercatorY(lat * unit));
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return { points: found, left, top, right, bottom, size: Math.max(right - left, bottom - top) };
}

function* visible(parts, { scale, x, y, width, height }) {
  const finest = 0.7 / scale;
  for (const part of parts) {
    if (part.right * scale < x || part.left * scale > x + width) continue;
    if (part.bottom * scale < y || part.top * scale > y + height) continue;
    if (part.size >= finest) yield part;
  }
}

// A part as a path; stretches along the edges of the domain are cuts and no coast.
function trace(context, { points: all }, { scale, x, y }, edges = null) {
  let [lastX, lastY] = [Infinity, Infinity];
  for (let i = 0; i < all.length; i += 2) {
    const px = all[i] * scale - x;
    const py = all[i + 1] * scale - y;
    const isLast = i === all.length - 2;
    if (i && !isLast && Math.abs(px - lastX) < 0.7 && Math.abs(py - lastY) < 0.7) continue;
    if (!i || (edges && onEdge(all, i, edges))) context.moveTo(px, py);
    else context.lineTo(px, py);
    [lastX, lastY] = [px, py];
  }
}

function onEdge(all, i, [left, top, right, bottom]) {
  const near = (a, b, edge) => Math.abs(a - edge) < 6e-6 && Math.abs(b - edge) < 6e-6;
  const [ax, ay, bx, by] = [all[i - 2], all[i - 1], all[i], all[i + 1]];
  const turn = near(ax, bx, 0) || near(ax, bx, 1);
  return turn || near(ax, bx, left) || near(ax, bx, right) || near(ay, by, top) || near(ay, by, bottom);
}

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
