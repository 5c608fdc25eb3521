// What a picture shows of services of which an analysis gives the names alone.

import { ApiError, call } from "../lib/api.js";

const AT_ONCE = 6;

/**
 * Look services up, some at a time; those that do not answer are left out.
 *
 * @param {Iterable<string>} names
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, any>>} Service by name
 */
export async function knownServices(names, signal) {
  const found = new Map();
  await inTurn(new Set(names), async (name) => {
    const { service } = await call("CatalogService/GetService", { serviceId: name }, signal);
    found.set(name, service);
  });
  return found;
}

/**
 * Look calls between two services up, stale ones too.
 *
 * @param {Array<[string, string]>} pairs
 * @param {AbortSignal} signal
 * @returns {Promise<any[][]>} in the order of the pairs: the dependencies; none where there is no call
 */
export async function knownCalls(pairs, signal) {
  const found = pairs.map(() => []);
  await inTurn(pairs.keys(), async (place) => {
    const [sourceServiceId, targetServiceId] = pairs[place];
    const request = { sourceServiceId, targetServiceId, maxHops: 1, includeStale: true };
    const { paths = [] } = await call("AnalysisService/FindPaths", request, signal);
    found[place] = paths[0]?.hops[0].dependencies || [];
  });
  return found;
}

// A picture is drawn without what could not be looked up: the analysis itself has answered.
async function inTurn(each, ask) {
  const waiting = [...each];
  const worker = async () => {
    while (waiting.length) {
      try {
        await ask(waiting.shift());
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
