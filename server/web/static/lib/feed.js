// Follows the graph by Watch, for ever: resumes where it was, with growing pauses while nobody answers.

import { ApiError, stream } from "./api.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 15_000;
// Heartbeats come every five seconds.
const LONGEST_SILENCE_MS = 16_000;
const HOPELESS = ["unauthenticated", "permission_denied"];
const LOST_REVISION = ["INVALID_REVISION", "REVISION_UNKNOWN"];

/**
 * What a feed tells; plain objects, for they travel between threads.
 *
 * - `{kind: "state", state: "connecting"|"live"|"reconnecting", attempts, message, reason}`
 * - `{kind: "beat", revision, lag}`: up to date with this snapshot.
 * - `{kind: "changes"}`: the graph has changed; views ask again for what they show.
 * - `{kind: "refused", error}`: the token will not do; the feed has stopped.
 *
 * @typedef {Object} FeedEvent
 */

export class Feed {
  /** @param {(event: FeedEvent) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.revision = "";
    // What came before `revision` is not known: changes were missed.
    this.missed = false;
    this.running = null;
    this.token = "";
    this.hurried = () => {};
  }

  /** Follow with this token. @param {string} token */
  start(token) {
    this.stop();
    this.token = token;
    this.running = new AbortController();
    void this.run(this.running.signal);
  }

  /** Follow no more; `start` goes on where it was. */
  stop() {
    this.running?.abort();
    this.running = null;
    this.token = "";
  }

  /** Try again now, not after the pause. */
  hurry() {
    this.hurried();
  }

  async run(signal) {
    let attempts = 0;
    this.tell({ kind: "state", state: "connecting", attempts, message: "" });
    while (!signal.aborted) {
      const error = await this.follow(signal, () => (attempts = 0));
      if (signal.aborted) return;
      if (error === null) continue;
      if (HOPELESS.includes(error.code)) return this.refuse(error);
      if (LOST_REVISION.includes(error.reason)) this.forget();
      attempts += 1;
      const { message, reason } = error;
      this.tell({ kind: "state", state: "reconnecting", attempts, message, reason });
      await this.pause(attempts, signal);
    }
  }

  /** Read one stream to its end. Returns why it ended; null = begin again at once. */
  async follow(signal, onlive) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), LONGEST_SILENCE_MS);
    let isLive = false;
    try {
      const request = { revision: this.revision || undefined };
      const both = AbortSignal.any([signal, silence.signal]);
      for await (const part of stream("GraphService/Watch", request, both, this.token)) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), LONGEST_SILENCE_MS);
        if (!isLive) this.tell({ kind: "state", state: "live", attempts: 0, message: "" });
        isLive = true;
        onlive();
        if (part.event === "WATCH_EVENT_RESET") {
          // The whole graph would follow; what a view shows is small, and it asks for that again.
          this.forget();
          return null;
        }
        this.take(part);
      }
      return new ApiError({ code: "unreachable", message: "the server ended the watch" });
    } catch (error) {
      if (signal.aborted) return null;
      if (silence.signal.aborted)
        return new ApiError({ code: "unreachable", message: "the server is silent" });
      return error instanceof ApiError ? error : new ApiError({ message: String(error) });
    } finally {
      clearTimeout(timer);
    }
  }

  take(part) {
    if (this.missed || part.event === "WATCH_EVENT_CHANGES") this.tell({ kind: "changes" });
    this.missed = false;
    if (!part.freshness) return;
    this.revision = part.freshness.revision;
    this.tell({ kind: "beat", revision: this.revision, lag: part.freshness.lag || "0s" });
  }

  forget() {
    this.revision = "";
    this.missed = true;
  }

  refuse({ code, message, reason, metadata }) {
    this.stop();
    this.tell({ kind: "refused", error: { code, message, reason, metadata } });
  }

  pause(attempts, signal) {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, longest * (0.5 + Math.random() / 2));
      this.hurried = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", this.hurried, { once: true });
    });
  }
}
