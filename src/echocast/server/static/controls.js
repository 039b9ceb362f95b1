// Buttons, fields and boxes around the map: they tell what was chosen and decide nothing.
import { recall, remember } from "./store.js";

const byId = (id) => document.getElementById(id);

export function startControls(on) {
  const layersBox = byId("layers");
  const layersButton = byId("layers-button");
  const help = byId("help");
  let said = "";

  function openLayers(isOpen, { focus = true } = {}) {
    const hadFocus = layersBox.contains(document.activeElement);
    layersBox.hidden = !isOpen;
    layersButton.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && focus) (layersBox.querySelector("input:checked") ?? layersBox.querySelector("button")).focus();
    if (!isOpen && hadFocus) layersButton.focus();
  }

  layersButton.addEventListener("click", () => openLayers(layersBox.hidden));
  byId("help-button").addEventListener("click", () => help.showModal());
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => (button.dataset.close === "help" ? help.close() : openLayers(false)));
  }
  startChoices(on);
  startSharing(on);
  startHere(on);

  return {
    toggleLayers: () => openLayers(layersBox.hidden),
    help: () => help.showModal(),
    // Closes what is open on top; whether there was something.
    escape() {
      if (help.open) return true;
      if (layersBox.hidden) return false;
      openLayers(false);
      return true;
    },
    layers: (layers, chosen) => drawLayers(layers, chosen, on.onLayer),
    palettes(names, chosen) {
      const titles = { auto: "as light or dark", night: "for dark maps", cvd: "for all colour vision", classic: "classic", grey: "grey" };
      byId("palette").replaceChildren(...names.map((name) => new Option(titles[name] ?? name, name, false, name === chosen)));
    },
    banner({ banner, kind, canRenew, canClose }) {
      if (banner === said) return;
      said = banner;
      const box = byId("banner");
      box.hidden = !banner;
      box.dataset.kind = kind;
      box.replaceChildren(banner);
      if (canRenew) box.append(button("Show the newest", on.onNewest));
      if (canClose) box.append(button("Close", on.onDismiss));
    },
  };
}

function startChoices(on) {
  const opacity = byId("opacity");
  opacity.value = String(100 * on.opacity);
  opacity.addEventListener("input", () => on.onOpacity(Number(opacity.value) / 100));
  byId("palette").addEventListener("change", (event) => on.onPalette(event.target.value));
  const zone = byId("zone");
  zone.value = on.zone;
  zone.addEventListener("change", () => on.onZone(zone.value));
  const theme = byId("theme");
  theme.value = recall("theme", "auto");
  theme.addEventListener("change", () => {
    remember("theme", theme.value);
    if (theme.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme.value;
    on.onTheme();
  });
}

function startSharing(on) {
  byId("share").addEventListener("click", async () => {
    const link = on.onShare();
    try {
      await navigator.clipboard.writeText(link);
      byId("shared").textContent = "The link is copied.";
    } catch {
      byId("shared").textContent = link;
    }
  });
}

// Browsers tell the position only over https, or to this machine itself.
function startHere(on) {
  const here = byId("here");
  if (!isSecureContext || !navigator.geolocation) return;
  here.hidden = false;
  here.addEventListener("click", () => navigator.geolocation.getCurrentPosition(
    ({ coords }) => on.onHere(coords.latitude, coords.longitude),
    () => on.onNotice("The browser does not tell your position. Search for a place, or click the map."),
  ));
}

let drawn = "";
function drawLayers(layers, chosen, onLayer) {
  const wanted = JSON.stringify([layers.map((layer) => layer.id), chosen]);
  if (wanted === drawn) return;
  const focused = document.activeElement?.name === "layer" ? document.activeElement.value : null;
  drawn = wanted;
  const groups = new Map();
  for (const layer of layers) {
    if (!groups.has(layer.group)) groups.set(layer.group, []);
    groups.get(layer.group).push(layer);
  }
  byId("layer-groups").replaceChildren(...[...groups].map(([title, members]) => {
    const set = document.createElement("fieldset");
    const head = document.createElement("legend");
    head.textContent = title;
    set.append(head, ...members.map((layer) => choice(layer, chosen, onLayer)));
    return set;
  }));
  if (focused) document.querySelector(`input[name="layer"][value="${focused}"]`)?.focus();
}

function choice(layer, chosen, onLayer) {
  const label = document.createElement("label");
  label.className = "choice";
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "layer", value: layer.id, checked: layer.id === chosen });
  input.addEventListener("change", () => onLayer(layer.id));
  label.append(input, layer.title);
  return label;
}

function button(text, call) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", call);
  return made;
}
