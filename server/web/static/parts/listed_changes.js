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
  try {
    const { changes } = await listed({ ...request, pageSize: PAGE }, Infinity, signal);
    const isLater = (time, last) => last === null || Date.parse(time) > Date.parse(last);
    return changes.reduce((last, { time }) => (isLater(time, last) ? time : last), null);
  } catch (error) {
    const oldest = error.metadata?.oldest_time;
    if (!oldest || !isBeyondHistory(error) || request.since === oldest) throw error;
    return lastChange({ ...request, since: oldest }, signal);
  }
}
