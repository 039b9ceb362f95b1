// The axis of time: observed, then forecast, on the wall clock; a range input does what keys and fingers want.
import { nearest } from "./axis.js";
import { clock, hourOfDay, minuteOfHour } from "./times.js";

const byId = (id) => document.getElementById(id);

export class Timeline {
  constructor(onChoose) {
    this.slider = byId("slider");
    this.track = byId("track");
    this.ticks = byId("ticks");
    this.now = document.createElement("div");
    this.now.className = "now";
    byId("axis").append(this.now);
    this.frames = [];
    this.slider.addEventListener("input", () => onChoose(this.nearest(Number(this.slider.value))));
    new ResizeObserver(() => this.#drawTicks()).observe(byId("axis"));
  }

  // frames: [{time, observed}] ascending; step in milliseconds; `isReady` tells which pictures are loaded.
  use(frames, step, zone) {
    const [first, last] = frames.length ? [frames[0].time, frames.at(-1).time] : [0, 1];
    Object.assign(this, { frames, step, zone, first, last: Math.max(last, first + step) });
    this.slider.disabled = !frames.length;
    this.slider.min = this.first;
    this.slider.max = this.last;
    this.slider.step = step;
    this.segments = frames.map((frame) => {
      const part = document.createElement("i");
      part.className = frame.observed ? "observed" : "forecast";
      const half = step / 2;
      const [a, b] = [this.#share(frame.time - half), this.#share(frame.time + half)].map((v) => Math.min(1, Math.max(0, v)));
      part.style.left = `${100 * a}%`;
      part.style.width = `${100 * (b - a)}%`;
      return part;
    });
    this.track.replaceChildren(...this.segments);
    this.#drawTicks();
  }

  // What changes with time and with loading.
  mark(nowMs, isReady) {
    this.frames.forEach((frame, at) => {
      this.segments[at].classList.toggle("past", !frame.observed && frame.time < nowMs);
      this.segments[at].classList.toggle("waiting", !isReady(frame));
    });
    const share = this.#share(nowMs);
    this.now.hidden = !this.frames.length || share < 0 || share > 1;
    this.now.style.left = `${100 * share}%`;
  }

  // The label is that of the picture which is shown; null while it changes too often to be spoken.
  show(frame, text) {
    this.slider.value = frame.time;
    if (text !== null) this.slider.setAttribute("aria-valuetext", text);
  }

  nearest(time) {
    return nearest(this.frames, time);
  }

  #share = (time) => (time - this.first) / (this.last - this.first);

  #drawTicks() {
    if (!this.frames.length) return this.ticks.replaceChildren();
    const room = Math.max(1, Math.floor(this.ticks.parentElement.clientWidth / 64));
    const minutes = (this.last - this.first) / 60000;
    const every = [10, 15, 30, 60, 120, 180, 360].find((step) => minutes / step <= room) ?? 720;
    const ticks = [];
    // Zones differ by whole quarters of an hour.
    for (let time = Math.ceil(this.first / 300e3) * 300e3; time <= this.last; time += 300e3) {
      const minute = minuteOfHour(time, this.zone) + 60 * hourOfDay(time, this.zone);
      if (minute % every) continue;
      const tick = document.createElement("span");
      tick.textContent = clock(time, this.zone);
      tick.style.left = `${100 * this.#share(time)}%`;
      ticks.push(tick);
    }
    this.ticks.replaceChildren(...ticks);
    return undefined;
  }
}
