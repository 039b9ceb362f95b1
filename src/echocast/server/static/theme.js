// Before anything is drawn: light or dark as it was chosen, so that the page does not flash.
(() => {
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") || "auto";
  } catch {
    // no storage in this browser: as the system says
  }
  if (chosen !== "auto") document.documentElement.dataset.theme = chosen;
})();
