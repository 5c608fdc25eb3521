// A question of a view: asked when the view opens or the question changes, and quietly again when
// the graph has changed.

import { ApiError } from "../lib/api.js";

// A quiet look rests so many times as long as the last one took: a large answer is not asked for
// twice a second.
const REST = 4;
// While the server is away the page keeps what it has; the header says so. A page that has nothing
// yet asks again.
const AGAIN_MS = 2000;
const AWAY = new Set(["unreachable", "unavailable", "resource_exhausted", "deadline_exceeded"]);

/**
 * Keep what is on the page in step with a question.
 *
 * @param {Object} question
 * @param {HTMLElement} question.place where the answer stands
 * @param {AbortSignal} question.signal of the view
 * @param {(signal: AbortSignal, isQuiet: boolean) => Promise<any>} question.ask
 * @param {(answer: any) => void} question.show called when the answer is another than before
 * @param {(error: ApiError) => Promise<Node|string>|Node|string} question.fail
 * @param {number} [question.every] milliseconds after which it is asked quietly again while the page is in
 *   sight, for what changes without the graph
 * @returns {{look: () => Promise<void>, changed: () => void}} `look` asks now, in place of a question
 *   that still runs; `changed` asks soon, and leaves the page as it is if nothing is new
 */
export function asking({ place, signal, ask, show, fail, every }) {
  let turn = new AbortController();
  let running = Promise.resolve();
  let shown = null;
  let earliest = 0;
  let isDue = false;
  let isScheduled = false;

  async function once(isQuiet, own) {
    const began = performance.now();
    try {
      const answer = await ask(own, isQuiet);
      const text = JSON.stringify(answer, withoutFreshness);
      if (own.aborted || (isQuiet && text === shown)) return;
      show(answer);
      shown = text;
    } catch (error) {
      if (own.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      if (isQuiet && AWAY.has(error.code)) return;
      shown = null;
      const said = await fail(error);
      // Suggestions may have come after the answer to a later question.
      if (own.aborted) return;
      place.replaceChildren(said);
      if (AWAY.has(error.code)) again(own);
    } finally {
      earliest = performance.now() + REST * (performance.now() - began);
    }
  }

  function again(own) {
    setTimeout(() => own.aborted || look(), AGAIN_MS);
  }

  function look(isQuiet = false) {
    turn.abort();
    turn = new AbortController();
    place.setAttribute("aria-busy", String(!isQuiet));
    const own = turn;
    running = once(isQuiet, AbortSignal.any([signal, own.signal])).finally(() => {
      if (own === turn) place.removeAttribute("aria-busy");
    });
    return running;
  }

  function schedule() {
    isScheduled = true;
    setTimeout(
      async () => {
        try {
          await running;
          isDue = false;
          if (!signal.aborted) await look(true);
        } finally {
          isScheduled = false;
          if (isDue && !signal.aborted) schedule();
        }
      },
      Math.max(0, earliest - performance.now()),
    );
  }

  function changed() {
    isDue = true;
    if (!isScheduled) schedule();
  }

  if (every) {
    const timer = setInterval(() => document.hidden || changed(), every);
    signal.addEventListener("abort", () => clearInterval(timer));
  }
  return { look: () => look(), changed };
}

/**
 * Fill a place anew, and leave the focus on the control with the same `data-key`.
 *
 * @param {HTMLElement} place
 * @param {...Node} content
 */
export function refill(place, ...content) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...content);
  if (key === undefined) return;
  const same = [...place.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
  same?.focus({ preventScroll: true });
}

function withoutFreshness(key, value) {
  return key === "freshness" ? undefined : value;
}
