// A field that finds places of the basemap and coordinates: a combobox with a list, by mouse and by keys.
const input = document.getElementById("query");
const list = document.getElementById("found");

export function startSearch({ search, onFound }) {
  let options = [];
  let chosen = -1;

  function show(found) {
    options = found;
    chosen = found.length ? 0 : -1;
    list.replaceChildren(...found.map((one, at) => {
      const item = document.createElement("li");
      item.id = `found-${at}`;
      item.setAttribute("role", "option");
      item.textContent = one.name;
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        take(one);
      });
      return item;
    }));
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    mark();
  }

  function mark() {
    [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === chosen)));
    if (chosen >= 0) input.setAttribute("aria-activedescendant", `found-${chosen}`);
    else input.removeAttribute("aria-activedescendant");
  }

  function take(one) {
    input.value = one.name;
    show([]);
    onFound(one);
  }

  input.addEventListener("input", () => show(coordinates(input.value) ?? search(input.value)));
  input.addEventListener("blur", () => show([]));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      show([]);
      return;
    }
    if (!options.length) return;
    if (event.key === "ArrowDown") chosen = (chosen + 1) % options.length;
    else if (event.key === "ArrowUp") chosen = (chosen + options.length - 1) % options.length;
    else if (event.key === "Enter") return take(options[Math.max(chosen, 0)]);
    else return;
    event.preventDefault();
    mark();
  });
}

// "47.35, 7.9" as a place.
export function coordinates(text) {
  const found = text.trim().match(/^(-?\d+(?:\.\d+)?)\s*[,;\s]\s*(-?\d+(?:\.\d+)?)$/);
  if (!found) return null;
  const [lat, lon] = [Number(found[1]), Number(found[2])];
  if (Math.abs(lat) > 85 || Math.abs(lon) > 180) return null;
  return [{ name: `${lat}, ${lon}`, lat, lon }];
}
