// The only file that knows Leaflet: the rest of the page asks for what is here, so that another library can follow.
const L = globalThis.L;
const LARGEST_LATITUDE = 85.05;

// A canvas that covers the view and somewhat more, drawn anew when the map has moved.
const CanvasLayer = L.Layer.extend({
  initialize(draw, pane, isWanted) {
    this._draw = draw;
    this._isWanted = isWanted;
    this.options = { pane };
  },
  onAdd(map) {
    this._canvas = L.DomUtil.create("canvas", "leaflet-zoom-animated");
    this._canvas.setAttribute("aria-hidden", "true");
    this._canvas.style.pointerEvents = "none";
    map.getPane(this.options.pane).appendChild(this._canvas);
    this.redraw();
  },
  onRemove() {
    this._canvas.remove();
  },
  getEvents() {
    return { moveend: this.redraw, resize: this.redraw, zoomanim: this._zoom };
  },
  redraw() {
    const map = this._map;
    if (!map) return;
    if (!this._isWanted()) {
      this._canvas.width = this._canvas.height = 0; // no memory for what shows nothing
      return;
    }
    const size = map.getSize();
    const pad = size.multiplyBy(0.25).round();
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const [width, height] = [size.x + 2 * pad.x, size.y + 2 * pad.y];
    const canvas = this._canvas;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    this._topLeft = map.containerPointToLatLng(pad.multiplyBy(-1));
    L.DomUtil.setTransform(canvas, map.containerPointToLayerPoint(pad.multiplyBy(-1)), 1);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const origin = map.getPixelBounds().min.subtract(pad);
    const { min, max } = map.getPixelBounds();
    const seen = [min.x, min.y, max.x, max.y];
    this._draw(context, { scale: 256 * 2 ** map.getZoom(), x: origin.x, y: origin.y, width, height, zoom: map.getZoom(), ratio, seen });
  },
  _zoom(event) {
    const map = this._map;
    const scale = map.getZoomScale(event.zoom, map.getZoom());
    L.DomUtil.setTransform(this._canvas, map._latLngToNewLayerPoint(this._topLeft, event.zoom, event.center), scale);
  },
});

export function makeMap(element, { still }) {
  const map = L.map(element, {
    zoomControl: false,
    attributionControl: false,
    minZoom: 2,
    maxZoom: 12,
    zoomSnap: 0.5,
    zoomDelta: 0.5,
    wheelPxPerZoomLevel: 120,
    maxBoundsViscosity: 0.8,
    fadeAnimation: false,
    trackResize: true,
    zoomAnimation: !still,
    inertia: !still,
    boxZoom: true,
  });
  L.control.zoom({ position: "topright" }).addTo(map);
  L.control.scale({ position: "bottomleft", imperial: false }).addTo(map);
  for (const [name, order] of [["ground", 200], ["pictures", 300], ["marks", 350], ["lines", 400]]) {
    map.createPane(name).style.zIndex = order;
    map.getPane(name).style.pointerEvents = "none";
  }
  map.setView([30, 0], 2);
  let pin = null;
  return {
    fit(bounds) {
      const [west, south, east, north] = bounds;
      const limits = L.latLngBounds([Math.max(south, -LARGEST_LATITUDE), west], [Math.min(north, LARGEST_LATITUDE), east]);
      map.fitBounds(limits, { animate: false, padding: [8, 8] });
    },
    // Where the map can be moved, and how far out: what is drawn, and somewhat more than the domain.
    limit([west, south, east, north], domain) {
      map.setMaxBounds([[Math.max(south, -LARGEST_LATITUDE), west], [Math.min(north, LARGEST_LATITUDE), east]]);
      map.setMinZoom(Math.max(1, map.getBoundsZoom([[domain[1], domain[0]], [domain[3], domain[2]]]) - 0.5));
    },
    view() {
      const centre = map.getCenter();
      return { z: map.getZoom(), lat: centre.lat, lon: centre.lng };
    },
    go({ z, lat, lon }) {
      map.setView([lat, lon], z, { animate: false });
    },
    isNarrow: () => element.clientWidth < 640,
    zoomBy: (steps) => map.setZoom(map.getZoom() + steps),
    onMove: (call) => map.on("moveend", call),
    onClick: (call) => map.on("click", (event) => call(event.latlng.lat, event.latlng.wrap().lng)),
    onHover(call) {
      map.on("mousemove", (event) => call(event.latlng.lat, event.latlng.lng));
      map.on("mouseout", () => call(null, null));
    },
    // `isWanted` tells whether there is anything to draw.
    canvas(pane, draw, isWanted = () => true) {
      const layer = new CanvasLayer(draw, pane, isWanted).addTo(map);
      return {
        redraw: () => layer.redraw(),
        opacity(value) {
          layer._canvas.style.opacity = value;
        },
        // Pixels as they were drawn, ratio of them to those of the view.
        read() {
          const { width, height } = layer._canvas;
          return { ...{ width, height }, data: layer._canvas.getContext("2d").getImageData(0, 0, width, height).data };
        },
      };
    },
    // A picture of the whole domain, hidden until it is shown; `loaded` settles when it can be drawn.
    picture(image, [west, south, east, north]) {
      const overlay = L.imageOverlay(image, [[south, west], [north, east]], { pane: "pictures", opacity: 0 });
      const loaded = new Promise((resolve, reject) => {
        const isThere = () => (image.naturalWidth ? resolve() : reject(new Error(image.src)));
        if (image.complete) isThere();
        image.addEventListener("load", isThere);
        image.addEventListener("error", isThere);
      });
      overlay.addTo(map);
      return {
        loaded,
        image,
        opacity: (value) => overlay.setOpacity(value),
        remove: () => overlay.remove(),
      };
    },
    pin(lat, lon) {
      pin?.remove();
      pin = null;
      if (lat === null) return;
      const icon = L.divIcon({ className: "pin", iconSize: [16, 16] });
      pin = L.marker([lat, lon], { icon, interactive: false, keyboard: false, pane: "lines" }).addTo(map);
      pin.getElement()?.setAttribute("aria-hidden", "true");
    },
    // Move the map so that a place is not below a box that covers the lower part of it.
    reveal(lat, lon, box) {
      const place = map.latLngToContainerPoint([lat, lon]);
      const [top, frame] = [box.getBoundingClientRect().top, element.getBoundingClientRect()];
      const isBelow = box.offsetWidth >= frame.width && place.y > top - frame.top - 40;
      if (isBelow) map.panBy([0, place.y - Math.max(80, (top - frame.top) / 2 + 30)], { animate: false });
    },
    show(lat, lon) {
      if (!map.getBounds().pad(-0.1).contains([lat, lon])) map.setView([lat, lon], Math.max(map.getZoom(), 7), { animate: false });
    },
  };
}
