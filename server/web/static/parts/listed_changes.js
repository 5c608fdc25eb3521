// Changes out of the history, as many as are wanted.

import { call } from "../lib/api.js";
import { isBeyondHistory } from "./no_history.js";

export const METHOD = "HistoryService/ListChanges";
const PAGE = 1_000;

/**
 * Read pages until there are as many changes as wanted.
 *
 * @param {object} request
 * @param {number} most
 * @param {AbortSignal} signal
 * @returns {Promise<{changes: any[], resolvedAliases?: any[], isCut: boolean, freshness: any}>} isCut = there
 *   are more
 * @throws {import("../lib/api.js").ApiError}
 */
export async function listed(request, most, signal) {
  const first = await call(METHOD, request, signal);
  const { changes = [], since, until, resolvedAliases } = first;
  let pageToken = first.nextPageToken;
  while (pageToken && changes.length < most) {
    const page = await call(METHOD, { ...request, pageToken }, signal);
    changes.push(...(page.changes || []));
    pageToken = page.nextPageToken;
  }
  // Other states between which the same changed are no news.
  return { changes, resolvedAliases, isCut: Boolean(pageToken), freshness: { since, until } };
}

/**
 * Find the last change near a service.
 *
 * @param {{serviceId: string, maxHops: number, since: string, until?: string}} request
 * @param {AbortSignal} signal
 * @returns {Promise<string|null>} its time; null = there is none since then
 * @throws {import("../lib/api.js").ApiError}
 */
export async function lastChange(request, signal) {
  let since = request.since;
  let last = null;
  for (;;) {
    const page = await firstPage({ ...request, since }, signal);
    const latest = page.changes.reduce((last, { time }) => (isLater(time, last) ? time : last), null);
    if (latest !== null && isLater(latest, last)) last = latest;
    else return last;
    if (!page.nextPageToken) return last;
    // The nearest come first: what is further away, and later, is asked for alone.
    since = last;
  }
}

/** Read one page; where the history is younger than what is asked for, of all of it. */
async function firstPage(request, signal) {
  try {
    const { changes = [], nextPageToken } = await call(METHOD, { ...request, pageSize: PAGE }, signal);
    return { changes, nextPageToken };
  } catch (error) {
    const oldest = error.metadata?.oldest_time;
    if (!oldest || !isBeyondHistory(error) || request.since === oldest) throw error;
    return firstPage({ ...request, since: oldest }, signal);
  }
}

function isLater(time, last) {
  return last === null || Date.parse(time) > Date.parse(last);
}
