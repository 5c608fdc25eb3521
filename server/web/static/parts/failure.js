// What a view shows while it waits, when it has nothing, and when a call failed.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { serviceLink } from "./names.js";
import { isBeyondHistory, waysOut } from "./no_history.js";

const MOST = 8;

/**
 * Say why a call failed; for a service that does not exist, offer those with similar names.
 *
 * @param {import("../lib/api.js").ApiError} error
 * @param {{names?: string[], link?: (missing: string, found: string) => HTMLElement,
 *   signal?: AbortSignal}} [asked] the services that the request named, and where a suggestion leads
 * @returns {Promise<HTMLElement>}
 */
export async function failure(error, { names = [], link, signal } = {}) {
  const shown = h("div", { class: "failed", role: "alert" }, h("p", {}, error.message));
  if (isBeyondHistory(error)) shown.append(waysOut(error));
  if (error.reason !== "SERVICE_NOT_FOUND") return shown;
  for (const missing of names) {
    const found = await similar(missing, signal);
    if (found.length) shown.append(suggestions(missing, found, link));
  }
  return shown;
}

/**
 * Say that an answer is awaited.
 *
 * @param {string} text
 * @returns {HTMLElement}
 */
export function waiting(text) {
  return h("p", { class: "waiting", role: "status" }, text);
}

/**
 * Offer services to begin with: the most critical ones.
 *
 * @param {(name: string) => HTMLElement} link
 * @param {AbortSignal} signal
 * @param {string} [besides] a service that is not offered
 * @returns {Promise<HTMLElement>}
 */
export async function beginnings(link, signal, besides = "") {
  const { matches = [] } = await call("GraphService/SearchServices", { maxMatches: MOST }, signal);
  const names = matches.map(({ service }) => service.serviceId).filter((name) => name !== besides);
  if (!names.length) return h("p", { class: "empty" }, "There are no services yet.");
  return h("p", { class: "offered" }, "The most critical ones: ", listed(names, link));
}

async function similar(missing, signal) {
  const request = { query: [...missing].slice(0, 255).join(""), maxMatches: MOST };
  // Without suggestions the message still stands.
  const { matches = [] } = await call("GraphService/SearchServices", request, signal).catch(() => ({}));
  const names = matches.map(({ service }) => service.serviceId);
  // It exists: another of the names asked for is the one that is missing.
  return names.includes(missing) ? [] : names;
}

function suggestions(missing, found, link = (_, name) => serviceLink(name)) {
  return h(
    "p",
    { class: "offered" },
    "Similar names: ",
    listed(found, (name) => link(missing, name)),
  );
}

function listed(names, link) {
  return h(
    "span",
    { class: "names" },
    names.map((name) => link(name)),
  );
}
