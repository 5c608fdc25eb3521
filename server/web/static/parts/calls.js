// Dependencies of a pair of services: in words, and as the edge of a picture.

import { h } from "../lib/dom.js";
import { count, words } from "../lib/words.js";

// Below this an edge is drawn as uncertain.
const LOW_CONFIDENCE = 0.5;
const STRONGEST_FIRST = ["HARD", "UNKNOWN", "DEGRADED", "SOFT"].map(
  (each) => `DEPENDENCY_CRITICALITY_${each}`,
);

/**
 * Compare criticalities of dependencies: 0 = HARD, 3 = SOFT.
 *
 * @param {string} criticality
 * @returns {number}
 */
export function strengthRank(criticality) {
  return STRONGEST_FIRST.indexOf(criticality);
}

/** Criticalities that are at least as strong as one. @param {string} weakest @returns {string[]} */
export function atLeast(weakest) {
  return STRONGEST_FIRST.slice(0, strengthRank(weakest) + 1);
}

/**
 * Make the edge of a picture from what the sources say about a pair.
 *
 * @param {string} source
 * @param {string} target
 * @param {any[]} dependencies of the contract, effective or by source; at least one
 * @param {boolean} [isMarked]
 */
export function pictureEdge(source, target, dependencies, isMarked = false) {
  const modes = new Set(dependencies.map((each) => words.mode(each.communicationMode) || "unknown"));
  const strongest = dependencies
    .map((each) => each.criticality)
    .sort((a, b) => strengthRank(a) - strengthRank(b))[0];
  return {
    source,
    target,
    mode: modes.size === 1 ? [...modes][0] : "mixed",
    criticality: strongest,
    isStale: dependencies.every((each) => each.isStale),
    isLowConfidence: dependencies.every((each) => confidence(each) < LOW_CONFIDENCE),
    isMarked,
  };
}

/** How sure a source is, 0–1. @param {any} dependency @returns {number} */
export function confidence(dependency) {
  // An effective dependency always has one, which JSON leaves out where it is 0.
  if (dependency.discoverySources) return dependency.confidenceScore || 0;
  return dependency.confidenceScore === undefined ? 1 : dependency.confidenceScore;
}

/** @param {any} dependency @returns {string} "0.75" */
export function confidenceText(dependency) {
  return String(Number(confidence(dependency).toPrecision(2)));
}

/** Who reports it. @param {any} dependency @returns {string} "manual, service mesh" */
export function sourcesText(dependency) {
  const sources = dependency.discoverySources || [dependency.discoverySource];
  return sources.map(words.source).join(", ");
}

/** @param {any} dependency @returns {string} "800 ms"; "–" = not known */
export function timeoutText(dependency) {
  return dependency.timeoutMs === undefined ? "–" : `${count(dependency.timeoutMs)} ms`;
}

/** @param {any} dependency @returns {string} "3, exponential"; "–" = not known */
export function retriesText({ retryConfig }) {
  if (!retryConfig) return "–";
  const most = retryConfig.maxRetries === undefined ? "3 (default)" : count(retryConfig.maxRetries);
  const strategy = (retryConfig.backoffStrategy || "").replace("BACKOFF_STRATEGY_", "").toLowerCase();
  return strategy && strategy !== "unspecified" ? `${most}, ${strategy}` : most;
}

/**
 * Say how a service depends on another.
 *
 * @param {any} dependency
 * @returns {string} "sync hard grpc 800 ms (service mesh) confidence 0.7 stale"
 */
export function dependencyText(dependency) {
  return [
    words.mode(dependency.communicationMode),
    words.dependencyCriticality(dependency.criticality),
    dependency.protocol,
    dependency.timeoutMs !== undefined && timeoutText(dependency),
    `(${sourcesText(dependency)})`,
    confidence(dependency) < 1 && `confidence ${confidenceText(dependency)}`,
    dependency.isStale && "stale",
  ]
    .filter(Boolean)
    .join(" ");
}

/** The word for a criticality of a dependency, with its colour and shape. @param {string} criticality */
export function strengthMark(criticality) {
  const word = words.dependencyCriticality(criticality);
  return h("span", { class: `strength strength-${word}` }, word);
}

/**
 * Write an EdgeFilter as options of commands.
 *
 * @param {any} filter
 * @param {boolean} [includeStale]
 * @returns {Array<string|number>} ["--mode", "sync", "--include-stale"]
 */
export function filterOptions(filter = {}, includeStale = false) {
  const repeated = (option, values = [], prefix) =>
    values.flatMap((value) => [option, value.replace(prefix, "").toLowerCase()]);
  return [
    ...repeated("--mode", filter.communicationModes, "COMMUNICATION_MODE_"),
    ...repeated("--criticality", filter.criticalities, "DEPENDENCY_CRITICALITY_"),
    ...repeated("--source", filter.discoverySources, "DISCOVERY_SOURCE_"),
    ...repeated("--exclude-kind", filter.excludeKinds, "SERVICE_KIND_"),
    ...(filter.minConfidence ? ["--min-confidence", filter.minConfidence] : []),
    ...(includeStale ? ["--include-stale"] : []),
  ];
}
