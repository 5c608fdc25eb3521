// What the page knows of the server from moment to moment: whether it answers, how fresh, what changed.

import { observe } from "./api.js";
import { Feed } from "./feed.js";
import { seconds } from "./words.js";

// The views look again at most twice a second.
const CHANGES_MS = 500;
// A stream may break and be back at once; who has not answered for so long is away.
const SILENT_MS = 10_000;

/**
 * @typedef {Object} Liveness
 * @property {"off"|"connecting"|"live"|"reconnecting"|"down"|"warming"|"refused"} state down = a second
 *   attempt failed too, or the last answer is long ago; warming = it answers, but reads the
 *   graph yet; refused = the caller may not watch
 * @property {string} message why there is no stream
 * @property {string} revision
 * @property {number} lag in seconds, when the last answer came
 * @property {number} answered when the last answer came, in milliseconds; 0 = never
 */

class Live extends EventTarget {
  constructor() {
    super();
    /** @type {Liveness} */
    this.now = { state: "off", message: "", revision: "", lag: 0, answered: 0 };
    this.token = null;
    this.hasChanged = false;
    this.looked = 0;
    this.carrier = null;
    observe((_, error) => {
      if (error?.code === "unreachable") return;
      this.set({ answered: Date.now() });
      if (["reconnecting", "down", "warming"].includes(this.now.state)) this.hurry();
    });
    document.addEventListener("visibilitychange", () => this.greet());
    addEventListener("pageshow", (event) => event.persisted && this.greet());
    addEventListener("pagehide", () => this.carrier?.post({ kind: "bye" }));
    addEventListener("online", () => this.hurry());
  }

  /** Follow the graph; again with another token after signing in. @param {string} token */
  start(token) {
    this.token = token;
    this.carrier ||= carrier((event) => this.take(event));
    this.greet();
  }

  /** Follow no more. */
  stop() {
    this.token = null;
    this.carrier?.post({ kind: "bye" });
    this.set({ state: "off", message: "" });
  }

  /** Try again now. */
  hurry() {
    this.carrier?.post({ kind: "hurry" });
  }

  greet() {
    if (this.token === null) return;
    this.carrier.post({ kind: "here", token: this.token, isVisible: !document.hidden });
    if (!document.hidden && this.hasChanged) this.later();
  }

  take(event) {
    if (event.kind === "state") this.takeState(event);
    else if (event.kind === "beat") this.takeBeat(event);
    else if (event.kind === "changes") this.takeChanges();
    else this.refuse(event.error);
  }

  refuse(error) {
    this.set({ state: "refused", message: error.message });
    this.dispatchEvent(new CustomEvent("refused", { detail: error }));
  }

  takeState({ state, attempts, message, reason }) {
    if (reason === "NOT_READY") return this.set({ state: "warming", message, answered: Date.now() });
    const isSilent = Date.now() - this.now.answered > SILENT_MS;
    const shown = state === "reconnecting" && (attempts > 1 || isSilent) ? "down" : state;
    const answered = state === "live" ? Date.now() : this.now.answered;
    this.set({ state: shown, message, answered });
  }

  takeBeat({ revision, lag, isWelcome }) {
    // While this tab was out of sight the graph may have moved, and nobody told the tab how.
    if (isWelcome && this.now.revision && this.now.revision !== revision) this.takeChanges();
    this.set(isWelcome ? { revision } : { revision, lag: seconds(lag), answered: Date.now() });
  }

  takeChanges() {
    this.hasChanged = true;
    this.later();
  }

  later() {
    if (this.timer || document.hidden) return;
    this.timer = setTimeout(
      () => {
        this.timer = null;
        this.hasChanged = false;
        this.looked = Date.now();
        this.dispatchEvent(new Event("changes"));
      },
      Math.max(0, this.looked + CHANGES_MS - Date.now()),
    );
  }

  set(values) {
    Object.assign(this.now, values);
    this.dispatchEvent(new Event("state"));
  }
}

/** The one of this page. Events: "state", "changes", "refused" (detail: the error). */
export const live = new Live();

/** The worker that all tabs share; where browsers have none (Android), a feed of this page's own. */
function carrier(tell) {
  if (typeof SharedWorker === "undefined") return ownFeed(tell);
  const worker = new SharedWorker(new URL("watcher.js", import.meta.url), { type: "module" });
  const carried = { post: (message) => worker.port.postMessage(message) };
  worker.onerror = () => {
    console.warn("the shared worker did not start: this page follows the graph by itself");
    Object.assign(carried, ownFeed(tell));
    live.greet();
  };
  worker.port.onmessage = ({ data }) => tell(data);
  return carried;
}

function ownFeed(tell) {
  const feed = new Feed(tell);
  let token = null;
  return {
    post(message) {
      if (message.kind === "hurry") return feed.hurry();
      const wanted = message.kind === "here" && message.isVisible ? message.token : null;
      if (wanted === token && feed.running) return;
      token = wanted;
      if (token === null) feed.stop();
      else feed.start(token);
    },
  };
}
