// Which colours: those of the page, and the palette of the pictures.
const NAMES = ["field", "sea", "land", "lake", "coast", "border", "region", "label", "halo", "ink"];

export function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// "auto" is the server's palette, and on a dark map the one that is made for it.
export function paletteOf(model, chosen) {
  if (model?.palettes.includes(chosen)) return chosen;
  return isDark() && model?.palettes.includes("night") ? "night" : model?.palette ?? "cvd";
}

export function pageColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
