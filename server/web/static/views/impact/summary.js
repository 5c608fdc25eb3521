// Impact: what the failure amounts to, in counts that filter the list of services.

import { h } from "../../lib/dom.js";
import { count, counted, criticalityRank, words } from "../../lib/words.js";
import { chip } from "../../parts/chip.js";
import { nameText, teamText } from "../../parts/names.js";

const FIRST_TEAMS = 10;
const MEANING = {
  hard: "fail too",
  unknown: "may fail: no source knows",
  degraded: "go on with less",
  soft: "go on without it",
};

/**
 * Say how many services the failure reaches.
 *
 * @param {string} name of the service that fails
 * @param {any} summary ImpactSummary
 * @returns {HTMLElement}
 */
export function headline(name, summary) {
  if (!summary.serviceCount) {
    return h("p", { class: "headline" }, "Nobody is hit: no service calls ", nameText(name), ".");
  }
  const maybe = summary.maybeSyncCount
    ? `, ${count(summary.maybeSyncCount)} more if calls of unknown mode are synchronous`
    : "";
  return h(
    "div",
    { class: "headline" },
    h(
      "p",
      {},
      h("strong", {}, counted(summary.serviceCount, "service")),
      " hit when ",
      nameText(name),
      " fails",
    ),
    h(
      "p",
      { class: "soft" },
      `At most ${counted(summary.maxHops, "hop")} away. `,
      `${count(summary.syncCount)} by synchronous calls alone${maybe}.`,
    ),
  );
}

/**
 * Count the services by the weakest dependency of their best path; a button for each.
 *
 * @param {any} summary
 * @param {Set<string>} chosen words that the list is filtered by
 * @param {(word: string) => void} onturn
 * @returns {HTMLElement}
 */
export function strengths(summary, chosen, onturn) {
  const counts = (summary.weakestCriticalities || []).map((each) => ({
    word: words.dependencyCriticality(each.weakestCriticality),
    services: each.serviceCount,
  }));
  return h(
    "section",
    { class: "strengths", "aria-labelledby": "strengths-title" },
    h("h2", { id: "strengths-title" }, "By weakest link"),
    h(
      "p",
      { class: "soft" },
      "A service is as badly hit as the weakest call on its strongest path lets through.",
    ),
    bar(counts.map(({ word, services }) => [`tone-${word}`, services / summary.serviceCount])),
    h(
      "ul",
      { class: "chosen-from" },
      counts.map(({ word, services }) => h("li", {}, turned(word, services))),
    ),
  );

  function turned(word, services) {
    const attributes = {
      type: "button",
      "data-key": `strength ${word}`,
      "aria-pressed": String(chosen.has(word)),
      onclick: () => onturn(word),
    };
    const mark = h("span", { class: `strength strength-${word}` }, word);
    return h("button", attributes, mark, h("strong", {}, count(services)), h("span", {}, MEANING[word]));
  }
}

/**
 * Count the services by how much the company depends on them.
 *
 * @param {any} summary
 * @returns {HTMLElement}
 */
export function criticalities(summary) {
  const counts = (summary.criticalities || []).map((each) =>
    h("li", {}, h("strong", {}, count(each.serviceCount)), " ", chip(each.criticality)),
  );
  return h("ul", { class: "criticalities", "aria-label": "By criticality" }, counts);
}

/**
 * List the teams that are hit, those with most services first; a button for each.
 *
 * @param {any} answer with `summary` and `services`
 * @param {{team?: string, teamless?: string, teams?: string}} params what the list is filtered by, and
 *   whether all teams are shown
 * @param {(changes: object) => void} onchange
 * @returns {HTMLElement}
 */
export function teams({ summary, services }, params, onchange) {
  const worst = mostCritical(services);
  const listed = summary.teams || [];
  const shown = params.teams === "all" ? listed : listed.slice(0, FIRST_TEAMS);
  const most = Math.max(...listed.map((each) => each.serviceCount), 1);
  const hidden = listed.length - shown.length;
  const unlisted = summary.teamCount - listed.length;
  return h(
    "section",
    { class: "teams", "aria-labelledby": "teams-title" },
    h("h2", { id: "teams-title" }, "By team ", h("span", { class: "soft" }, count(summary.teamCount))),
    h(
      "ul",
      { class: "chosen-from" },
      shown.map((each) => h("li", {}, row(each))),
    ),
    hidden > 0 &&
      h(
        "button",
        { type: "button", "data-key": "all teams", onclick: () => onchange({ teams: "all" }) },
        `Show ${counted(hidden, "more team")}`,
      ),
    hidden <= 0 &&
      unlisted > 0 &&
      h("p", { class: "soft" }, `${counted(unlisted, "smaller team")} not listed.`),
  );

  function row({ team, serviceCount }) {
    const isChosen = team === undefined ? params.teamless === "1" : params.team === team;
    const wanted = team === undefined ? { teamless: "1", team: "" } : { team, teamless: "" };
    const attributes = {
      type: "button",
      "data-key": `team ${team === undefined ? "" : `=${team}`}`,
      "aria-pressed": String(isChosen),
      onclick: () => onchange(isChosen ? { team: "", teamless: "" } : wanted),
    };
    const worstOne = worst.get(team);
    return h(
      "button",
      attributes,
      h("span", { class: "team" }, teamText(team)),
      bar([["plain", serviceCount / most]]),
      h("span", { class: "number" }, count(serviceCount)),
      h("span", { class: "worst", title: "the most critical of its services" }, worstOne && chip(worstOne)),
    );
  }
}

function mostCritical(services) {
  const worst = new Map();
  for (const { team, criticality } of services) {
    const known = worst.get(team);
    if (known === undefined || criticalityRank(criticality) < criticalityRank(known))
      worst.set(team, criticality);
  }
  return worst;
}

// Widths are set by script: the policy of the page has no styles in attributes.
function bar(parts) {
  const pieces = parts.map(([kind, share]) => {
    const piece = h("span", { class: `piece ${kind}` });
    piece.style.flexBasis = `${share * 100}%`;
    return piece;
  });
  return h("span", { class: "bar-of", "aria-hidden": "true" }, pieces);
}
