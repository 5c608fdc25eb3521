// What people write in a search field: a piece of a name, team:NAME, kind:NAME.

import { call } from "./api.js";

/** Kinds as people write them. */
export const KINDS = ["service", "database", "queue", "gateway", "external"];
const PART = /(team|kind):("[^"]*"?|\S*)/gi;

/**
 * @typedef {{query: string, team: string, kind: string, unknownKind: string}} Question
 */

/**
 * Take a text apart: `pay team:"web shop" kind:queue`.
 *
 * @param {string} text
 * @returns {Question} kind as the contract writes it; "" = any
 */
export function question(text) {
  const found = { query: "", team: "", kind: "", unknownKind: "" };
  found.query = text
    .replace(PART, (_, key, value) => {
      const plain = value.replaceAll('"', "");
      if (key.toLowerCase() === "team") found.team = plain;
      else if (KINDS.includes(plain.toLowerCase())) found.kind = `SERVICE_KIND_${plain.toUpperCase()}`;
      else found.unknownKind = plain;
      return " ";
    })
    .trim();
  return found;
}

/** Write `team:…`, with quotes where the name has blanks. @param {string} team @returns {string} */
export function teamPart(team) {
  return /\s/.test(team) ? `team:"${team}"` : `team:${team}`;
}

/**
 * The `team:` or `kind:` that the text ends with, still being written.
 *
 * @param {string} text
 * @returns {{key: "team"|"kind", start: string, before: string} | null}
 */
export function openPart(text) {
  const match = /^(.*?)(team|kind):("[^"]*|[^\s"]*)$/i.exec(text);
  return match && { key: match[2].toLowerCase(), start: match[3].replaceAll('"', ""), before: match[1] };
}

/**
 * Ask the server.
 *
 * @param {Question} asked
 * @param {AbortSignal} signal
 * @returns {Promise<{matches: any[], matchCount: number, isSimilar: boolean}>}
 */
export async function search({ query, team, kind }, signal) {
  // A name has 255 characters at most; a longer text holds no name.
  const request = { query: query.slice(0, 255), team, kind: kind || undefined };
  const answer = await call("GraphService/SearchServices", request, signal);
  const matches = answer.matches || [];
  const isSimilar = matches.length > 0 && matches[0].matchKind === "MATCH_KIND_SIMILAR";
  return { matches, matchCount: answer.matchCount || 0, isSimilar };
}

const REMEMBERED = 60_000;
let teams = { names: [], at: -Infinity };

/**
 * The largest teams, by name and number of services; asked for once a minute at most.
 *
 * @param {AbortSignal} signal
 * @returns {Promise<Array<{name: string, services: number}>>}
 */
export async function largestTeams(signal) {
  if (performance.now() - teams.at > REMEMBERED) {
    const { nodes = [] } = await call("GraphService/GetMap", { maxNodes: 300 }, signal);
    const names = nodes
      .filter((node) => node.group)
      .map((node) => ({ name: node.group, services: node.serviceCount || 0 }));
    teams = { names, at: performance.now() };
  }
  return teams.names;
}
