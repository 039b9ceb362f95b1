// Keys of the page; fields and buttons keep theirs, the map its arrows.
export function startKeys(actions) {
  // The cross in the middle of the map is for those who use keys.
  document.addEventListener("pointerdown", () => {
    document.documentElement.dataset.keys = "0";
  });
  document.addEventListener("keydown", (event) => {
    document.documentElement.dataset.keys = "1";
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (event.key === "Escape") {
      actions.escape();
      return;
    }
    if (document.querySelector("dialog[open]") || target.matches("input[type=text], select, textarea")) return;
    const isSlider = target.matches("input[type=range]");
    const isButton = target.closest("button, a, summary, input[type=radio]");
    const onMap = target.id === "map";
    const call = {
      " ": isButton ? null : actions.play,
      ArrowLeft: isSlider || onMap || isButton?.matches("input") ? null : actions.back,
      ArrowRight: isSlider || onMap || isButton?.matches("input") ? null : actions.forward,
      Home: actions.latest,
      End: actions.end,
      l: actions.layers,
      L: actions.layers,
      p: actions.point,
      P: actions.point,
      "+": onMap ? null : actions.zoomIn,
      "-": onMap ? null : actions.zoomOut,
      "?": actions.help,
      Enter: onMap ? actions.point : null,
    }[event.key];
    if (!call) return;
    event.preventDefault();
    call();
  });
}
