// What the frame of the page keeps asking for, whichever view is shown.

import { live } from "../lib/live.js";

const EVERY_MS = 15_000;
// Detection writes its alerts a moment after the change.
const AFTER_CHANGE_MS = 1_000;

/**
 * Ask while the server answers and the page is in sight: at once, now and then, and a moment after the graph
 * has changed. One question at a time, however many changes come.
 *
 * @param {() => Promise<void>} ask never fails
 * @returns {() => void} asks now
 */
export function keepAsking(ask) {
  let asked = 0;
  let isDue = false;
  let isBusy = false;
  let wasLive = false;

  async function once() {
    isDue = false;
    if (live.now.state === "live" && !document.hidden) {
      asked = Date.now();
      await ask();
    }
    isBusy = false;
    if (isDue) soon(AFTER_CHANGE_MS);
  }

  function soon(pause) {
    isDue = true;
    if (isBusy) return;
    isBusy = true;
    setTimeout(once, pause);
  }

  live.addEventListener("state", () => {
    const isLive = live.now.state === "live";
    if (isLive && (!wasLive || Date.now() - asked > EVERY_MS)) soon(0);
    wasLive = isLive;
  });
  live.addEventListener("changes", () => soon(AFTER_CHANGE_MS));
  return () => soon(0);
}
