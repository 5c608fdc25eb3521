// What a picture shows of services of which an analysis gives the names alone.

import { call } from "../lib/api.js";

/**
 * Look up whom some services call, stale calls too: all of them in one request.
 *
 * @param {Iterable<string>} callers at most 1,000
 * @param {AbortSignal} signal
 * @param {object} [consistency] as of when
 * @returns {Promise<{services: any[], dependencies: any[]}>} the callees and the calls; of callers whose
 *   callees did not fit the answer there are none
 * @throws {import("../lib/api.js").ApiError}
 */
export async function callees(callers, signal, consistency) {
  const requests = [...new Set(callers)].map((serviceId) => ({
    serviceId,
    direction: "DIRECTION_DOWNSTREAM",
    maxDepth: 1,
    includeStale: true,
    consistency,
  }));
  const { responses = [] } = await call("GraphService/BatchTraverse", { requests }, signal);
  const found = responses.map(({ traversal = {} }) => traversal);
  return {
    services: found.flatMap(({ services = [] }) => services),
    dependencies: found.flatMap(({ dependencies = [] }) => dependencies),
  };
}
