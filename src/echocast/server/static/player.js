// Plays the loop: waits for a picture rather than skip it, and pauses at the end.
const MS_A_STEP = 320;
const PAUSE_AT_END_MS = 1400;

export class Player {
  constructor({ next, show, isLast, onChange }) {
    Object.assign(this, { next, show, isLast, onChange });
    this.speed = 1;
    this.isPlaying = false;
    this.turn = 0;
  }

  toggle() {
    if (this.isPlaying) this.stop();
    else this.start();
  }

  stop() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.turn += 1;
    this.onChange(false);
  }

  async start() {
    if (this.isPlaying) return;
    this.isPlaying = true;
    this.onChange(true);
    const turn = (this.turn += 1);
    while (turn === this.turn) {
      const frame = this.next();
      if (!frame) return this.stop();
      const began = performance.now();
      const isShown = await this.show(frame);
      if (turn !== this.turn) return undefined;
      const pause = (this.isLast(frame) ? PAUSE_AT_END_MS : MS_A_STEP) / this.speed;
      await new Promise((resolve) => setTimeout(resolve, Math.max(16, isShown ? pause - (performance.now() - began) : 1000)));
    }
    return undefined;
  }
}
