// What the address of a focus means: the request it stands for, and the groups that are open.

import { ApiError } from "../../lib/api.js";
import { commandLine } from "../../lib/shell.js";
import { asOfOption, pastOf } from "../../lib/times.js";
import { filterOf } from "../../parts/filters.js";

export const HOPS = "1";
export const MOST = 100;
const MOST_SHOWN = 250;
const METHOD = "GraphService/GetNeighbourhood";
const LETTERS = { u: "DIRECTION_UPSTREAM", d: "DIRECTION_DOWNSTREAM" };

/**
 * @param {import("../../lib/route.js").Route} route
 * @returns {object} GetNeighbourhoodRequest
 * @throws {ApiError} a param has a value that it can't have
 */
export function requestOf({ name, params }) {
  const openedGroups = openedOf(params);
  const most = Number(params.most || MOST);
  if (!(Number.isInteger(most) && most >= 1 && most <= MOST_SHOWN)) {
    refuse(`"most" in the address is "${params.most}"; it must be between 1 and ${MOST_SHOWN}.`);
  }
  return {
    ...(name ? { serviceId: name } : {}),
    maxDepth: Number(HOPS),
    ...filterOf(params),
    maxServices: most,
    ...(openedGroups.length ? { openedGroups } : {}),
    ...pastOf(params),
  };
}

/**
 * What to copy: the command that shows the same, and the call.
 *
 * @param {import("../../lib/route.js").Route} route
 * @returns {{command: string, method: string, request: object}}
 */
export function commandOf(route) {
  const { params, name } = route;
  const request = requestOf(route);
  const each = (option, text) => (text ? text.split(",").flatMap((value) => [option, value]) : []);
  const given = [
    ...["depgraph", "around", "--hops", params.hops || HOPS, "--top", params.most || MOST],
    ...each("--direction", params.direction),
    ...each("--mode", params.modes),
    ...each("--criticality", params.criticalities),
    ...each("--min-confidence", params.confidence),
    ...(params.stale ? ["--include-stale"] : []),
    ...openedOf(params).flatMap(({ team }) => (team ? ["--open", team] : [])),
    ...asOfOption(request),
  ];
  return { command: commandLine(given, [name]), method: METHOD, request };
}

/**
 * Read which groups are open: "u1.payments,d2.,d1+" is the callers of team payments, the callees at
 * two hops without a team, and the callees of all teams that have no group of their own.
 *
 * @param {Object<string, string>} params
 * @returns {Array<{direction: string, depth: number, team?: string, otherTeams?: true}>}
 */
export function openedOf(params) {
  if (!params.opened) return [];
  return params.opened.split(",").map((each) => {
    const [, letter, depth, team] = /^([ud])(\d+)(?:\.(.*)|\+)$/s.exec(each) || [];
    if (!letter) refuse(`"opened" in the address holds "${each}"; a group is written as u1.TEAM or d1.TEAM.`);
    const place = { direction: LETTERS[letter], depth: Number(depth) };
    if (team === undefined) return { ...place, otherTeams: true };
    return team ? { ...place, team: decoded(team) } : place;
  });
}

/** Params with a group open, too. */
export function open(params, selector) {
  return isOpen(params, selector)
    ? params
    : { ...params, opened: [...written(params), text(selector)].join(",") };
}

/** Params with a group closed. */
export function close(params, selector) {
  return {
    ...params,
    opened: written(params)
      .filter((each) => each !== text(selector))
      .join(","),
  };
}

/** Whether a group is open. */
function isOpen(params, selector) {
  return written(params).includes(text(selector));
}

function written(params) {
  return openedOf(params).map(text);
}

// Team names may hold commas: they are escaped once more than the address escapes them.
function text({ direction, depth, team, otherTeams }) {
  const side = direction === LETTERS.u ? "u" : "d";
  return `${side}${depth}${otherTeams ? "+" : `.${encodeURIComponent(team || "")}`}`;
}

function decoded(team) {
  try {
    return decodeURIComponent(team);
  } catch {
    return team;
  }
}

function refuse(message) {
  throw new ApiError({ code: "invalid_argument", message });
}
