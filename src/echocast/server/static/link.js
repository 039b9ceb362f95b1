// The address of what is seen: #zoom/lat/lon&t=+30&layer=rate&p=lat,lon&pal=cvd&i=issue
export function readLink(hash) {
  const [place, ...rest] = decodeURIComponent(hash.replace(/^#/, "")).split("&");
  const found = {};
  const [z, lat, lon] = place.split("/").map(Number);
  if ([z, lat, lon].every(Number.isFinite) && Math.abs(lat) <= 85 && Math.abs(lon) <= 540) found.view = { z, lat, lon };
  for (const part of rest) {
    const [key, value = ""] = part.split("=");
    if (key === "t" && /^[+-]?\d+(\.\d+)?$/.test(value)) found.minutes = Number(value);
    if (key === "layer" && /^[a-z0-9.]+$/.test(value)) found.layer = value;
    if (key === "pal" && /^[a-z]+$/.test(value)) found.palette = value;
    if (key === "i" && /^[\w-]+$/.test(value)) found.issue = value;
    const point = key === "p" ? value.split(",").map(Number) : [];
    if (point.length === 2 && point.every(Number.isFinite)) found.point = { lat: point[0], lon: point[1] };
  }
  return found;
}

export function writeLink({ view, minutes, layer, palette, point, issue }) {
  const parts = [`#${+view.z.toFixed(2)}/${view.lat.toFixed(3)}/${view.lon.toFixed(3)}`];
  if (minutes !== null) parts.push(`t=${minutes < 0 ? "" : "+"}${minutes}`);
  if (layer) parts.push(`layer=${layer}`);
  if (point) parts.push(`p=${point.lat.toFixed(4)},${point.lon.toFixed(4)}`);
  if (palette) parts.push(`pal=${palette}`);
  if (issue) parts.push(`i=${issue}`);
  return parts.join("&");
}
