// Before anything is drawn: light or dark as it was chosen, so that the page does not flash; and the index is asked for.
(() => {
  let chosen = "auto";
  try {
    chosen = localStorage.getItem("theme") || "auto";
  } catch {
    // no storage in this browser: as the system says
  }
  if (chosen !== "auto") document.documentElement.dataset.theme = chosen;
  const root = new URL(document.currentScript.src).pathname.split("/static/")[0];
  const asked = fetch(`${root}/v1/index.json`, { cache: "no-store", signal: AbortSignal.timeout(30000) });
  globalThis.firstIndex = asked.then((answer) => ({ answer, at: Date.now() }));
  globalThis.firstIndex.catch(() => {}); // api.js tells of it
})();
