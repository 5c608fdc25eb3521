// A change in words: what became of what, field by field.

import { h } from "../lib/dom.js";
import { words } from "../lib/words.js";
import { dependencyText } from "./calls.js";
import { nameText } from "./names.js";

const ENUMS = {
  communication_mode: words.mode,
  discovery_source: words.source,
  kind: words.kind,
  "retry_config backoff strategy": words.backoff,
};
const MOST_TEXT = 200;

/** @param {string} kind "CHANGE_KIND_ADDED" @returns {"added"|"removed"|"changed"} */
export function changeWord(kind) {
  return String(kind).replace("CHANGE_KIND_", "").toLowerCase();
}

/**
 * The word for a change, with its colour and sign.
 *
 * @param {string} kind of the contract, or its word
 * @param {string} [number] of such changes
 * @returns {HTMLElement}
 */
export function changeMark(kind, number = "") {
  const word = changeWord(kind);
  return h("span", { class: `change change-${word}` }, `${number} ${word}`.trim());
}

/**
 * Write what changed: "call checkout → payments".
 *
 * @param {{service?: any, dependency?: any, alias?: any}} change of the contract
 * @param {(name: string) => Node} [write] a name
 * @returns {HTMLElement}
 */
export function subject({ service, dependency, alias }, write = nameText) {
  if (dependency) {
    const { sourceServiceId, targetServiceId } = dependency.after || dependency.before;
    const arrow = h("span", { class: "arrow" }, " → ");
    return h("span", { class: "path" }, write(sourceServiceId), arrow, write(targetServiceId));
  }
  if (alias) return h("span", { class: "path" }, "alias ", nameText(alias.alias));
  return write((service.after || service.before).serviceId);
}

/**
 * Write the details of a change: fields before and after, or what came or went.
 *
 * @param {{service?: any, dependency?: any, alias?: any}} change of the contract
 * @returns {HTMLElement}
 */
export function details({ service, dependency, alias }) {
  if (alias) return aliasText(alias);
  const { before, after, fields = [] } = service || dependency;
  if (before && after) return fieldList(fields, Boolean(service), dependency && before.discoverySource);
  return h("span", {}, service ? serviceText(after || before) : dependencyText(after || before));
}

function aliasText({ before, after }) {
  const parts = [before, after].filter(Boolean).map(nameText);
  return h("span", { class: "path" }, "of ", parts[0], parts[1] && [" → ", parts[1]]);
}

function serviceText({ kind, criticality, team }) {
  return [
    words.kind(kind) || "service",
    words.criticality(criticality) && `criticality ${words.criticality(criticality)}`,
    team ? `team ${team}` : "no team",
  ]
    .filter(Boolean)
    .join(", ");
}

function fieldList(fields, isService, source) {
  const lines = fields.flatMap(({ field, before, after }) => differences(field, before, after));
  return h(
    "ul",
    { class: "field-changes" },
    lines.map(([field, before, after]) =>
      h(
        "li",
        {},
        h("span", { class: "soft" }, h("bdi", {}, named(field)), ": "),
        h("del", {}, h("bdi", {}, text(field, before, isService))),
        h("span", { "aria-hidden": "true" }, " → "),
        h("span", { class: "unseen" }, " becomes "),
        h("ins", {}, h("bdi", {}, text(field, after, isService))),
      ),
    ),
    source && h("li", { class: "soft" }, `says ${words.source(source)}`),
  );
}

// The keys of metadata are those of others.
function named(field) {
  return field.startsWith("metadata ") ? field : field.replaceAll("_", " ");
}

// Of objects, such as the metadata, only what differs.
function differences(field, before, after) {
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  if (![before, after].every((each) => each === undefined || isObject(each))) return [[field, before, after]];
  const keys = [...new Set([...Object.keys(before || {}), ...Object.keys(after || {})])];
  return keys
    .filter((key) => JSON.stringify(before?.[key]) !== JSON.stringify(after?.[key]))
    .map((key) => [`${field} ${field === "metadata" ? key : plain(key)}`, before?.[key], after?.[key]]);
}

// "maxRetries" is "max retries".
function plain(key) {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function text(field, value, isService) {
  if (value === undefined) return "unset";
  const written = typeof value === "string" ? value : JSON.stringify(value);
  const inWords = field === "criticality" ? criticality(isService) : ENUMS[field];
  const shown = inWords ? inWords(written) : written;
  return shown.length > MOST_TEXT ? `${shown.slice(0, MOST_TEXT)}…` : shown;
}

function criticality(isService) {
  return isService ? words.criticality : words.dependencyCriticality;
}
