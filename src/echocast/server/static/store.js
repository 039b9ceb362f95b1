// What the viewer chose and a browser remembers; without storage it is forgotten.
export function recall(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // no storage: it holds until the page is closed
  }
}

// Calls every listener after a change: one small object holds the state of the page.
export function makeState(initial) {
  const listeners = new Set();
  const state = { ...initial };
  return {
    get: () => state,
    set(change) {
      const before = { ...state };
      Object.assign(state, change);
      const changed = Object.keys(change).filter((key) => before[key] !== state[key]);
      if (changed.length) listeners.forEach((listener) => listener(state, new Set(changed)));
    },
    on: (listener) => listeners.add(listener),
  };
}
