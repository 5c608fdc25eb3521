// Impact: the answer, in counts, a picture and a list, and what of it is chosen.

import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { commandLine } from "../../lib/shell.js";
import { asOfOption } from "../../lib/times.js";
import { count, criticalityRank, words } from "../../lib/words.js";
import { refill } from "../../parts/asking.js";
import { filterOptions, strengthMark, strengthRank } from "../../parts/calls.js";
import { chip } from "../../parts/chip.js";
import { copyBar } from "../../parts/copy.js";
import { pathText, serviceLink, teamText } from "../../parts/names.js";
import { table } from "../../parts/table.js";
import { chosenService } from "./chosen.js";
import { ImpactPicture } from "./picture.js";
import { criticalities, headline, strengths, teams } from "./summary.js";

/** What is on the page of one question. */
export class ImpactAnswer {
  /**
   * @param {Object} options
   * @param {HTMLElement} options.place is filled
   * @param {Object<string, string>} options.params of the address, kept up to date: `team` or
   *   `teamless`, `strength`, `selected`, `teams`, `draw`
   * @param {any} options.question request of AnalyzeImpact
   * @param {AbortSignal} options.signal
   * @param {() => void} options.onall all services are to be read
   */
  constructor({ place, params, question, signal, onall }) {
    this.params = params;
    this.onall = onall;
    this.question = question;
    this.ending = new AbortController();
    this.signal = AbortSignal.any([signal, this.ending.signal]);
    this.answer = { summary: {}, services: [], isWhole: true };
    this.chosen = null;
    this.head = h("div", { class: "impact-head" });
    this.byTeam = h("div", { class: "impact-teams" });
    this.picture = new ImpactPicture({
      question,
      params,
      signal: this.signal,
      onopen: (node) => this.open(node),
      ondrawn: () => this.chosen?.drawer.refresh(),
      onmany: (draw) => this.set({ draw }),
    });
    this.state = h("p", { class: "list-state", role: "status" });
    this.list = table({ caption: "Services that are hit", columns: this.columns(), rows: [], step: 50 });
    this.foot = h("div", { class: "drawer" });
    const copying = {
      command: commandOf(question),
      method: "AnalysisService/AnalyzeImpact",
      request: question,
    };
    this.hits = h(
      "div",
      { class: "impact-hits" },
      h("div", { class: "impact-columns" }, this.picture.element, this.byTeam),
      h("section", { class: "impact-list" }, this.state, this.list),
      this.foot,
    );
    place.replaceChildren(copyBar(copying), this.head, this.hits);
  }

  /** Show an answer, or as much of it as has come. */
  update(answer) {
    this.answer = answer;
    this.fill();
    if (this.params.selected && !this.chosen) this.choose(this.params.selected);
  }

  changed() {
    this.picture.look.changed();
    this.chosen?.drawer.changed();
  }

  end() {
    this.ending.abort();
  }

  fill() {
    const { summary, services } = this.answer;
    const chosen = new Set((this.params.strength || "").split(",").filter(Boolean));
    const turn = (word) => {
      if (!chosen.delete(word)) chosen.add(word);
      this.set({ strength: [...chosen].join(",") });
    };
    this.hits.hidden = !summary.serviceCount;
    this.picture.reach(summary.maxHops || 0);
    const counts = summary.serviceCount ? [criticalities(summary), strengths(summary, chosen, turn)] : [];
    refill(this.head, h("div", {}, headline(this.question.serviceId, summary), counts[0]), counts[1] || "");
    refill(
      this.byTeam,
      teams(this.answer, this.params, (changes) => this.set(changes)),
    );
    const rows = services.filter((each) => this.passes(each, chosen));
    this.list.update(rows);
    this.state.replaceChildren(...this.stateText(rows.length));
  }

  passes({ team, weakestCriticality }, chosen) {
    if (this.params.teamless && team !== undefined) return false;
    if (this.params.team && team !== this.params.team) return false;
    return !chosen.size || chosen.has(words.dependencyCriticality(weakestCriticality));
  }

  stateText(rows) {
    const parts = this.readText();
    const { strength, team, teamless } = this.params;
    if (!strength && !team && !teamless) return parts;
    const among = [
      strength && strength.replaceAll(",", " or "),
      team && `team ${team}`,
      teamless && "no team",
    ];
    const all = () => this.set({ strength: "", team: "", teamless: "" });
    return [
      ...parts,
      h("span", { dir: "auto" }, `${count(rows)} of them: ${among.filter(Boolean).join(", ")}. `),
      h("button", { type: "button", class: "small", onclick: all }, "Show all"),
    ];
  }

  /** Say how many of the services are read, if not all. */
  readText() {
    const { summary, services, isWhole, isCut, isAtLimit } = this.answer;
    const total = count(summary.serviceCount);
    if (isWhole) return [];
    if (!isCut)
      return services.length ? [`${count(services.length)} of ${total} have come so far … `] : ["Reading …"];
    const nearest = `The nearest ${count(services.length)} of ${total} services are listed. `;
    if (isAtLimit) return [`${nearest}The command with --top 0 lists all. `];
    return [
      nearest,
      h("button", { type: "button", class: "small", onclick: () => this.onall() }, `Read all ${total}`),
      " ",
    ];
  }

  set(changes) {
    Object.assign(this.params, changes);
    history.replaceState(history.state, "", format("impact", this.question.serviceId, this.params));
    this.fill();
  }

  open(node) {
    if (node.kind === "service") this.choose(node.label);
    else if (node.kind === "group" && !node.selector.otherTeams) {
      const team = node.selector?.team || undefined;
      this.set({ team, teamless: team === undefined ? "1" : "" });
    }
  }

  choose(name) {
    const found = this.answer.services.find((each) => each.serviceId === name);
    if (!found) return;
    this.chosen?.ending.abort();
    const ending = new AbortController();
    const drawer = chosenService({
      found,
      question: this.question,
      known: () => this.known(),
      signal: AbortSignal.any([this.signal, ending.signal]),
      onclose: () => this.close(name),
      onopen: (other) => (location.hash = format("focus", other)),
    });
    this.chosen = { ending, drawer };
    this.foot.replaceChildren(drawer);
    this.picture.mark(found.path);
    // An address that is opened stays as it was written.
    if (this.params.selected !== name) this.set({ selected: name });
  }

  /** What is known of the services, the one that fails included. */
  known() {
    const { center } = this.picture;
    return new Map(
      [...(center ? [center] : []), ...this.answer.services].map((each) => [each.serviceId, each]),
    );
  }

  close(name) {
    this.chosen?.ending.abort();
    this.chosen = null;
    this.foot.replaceChildren();
    this.picture.mark([]);
    this.set({ selected: "" });
    const link = [...this.list.querySelectorAll("a.name")].find((each) => each.title === name);
    (link || this.list.querySelector("a"))?.focus();
  }

  columns() {
    const { serviceId } = this.question;
    const select = (event, name) => {
      // With a modifier the browser opens the address elsewhere.
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.choose(name);
      this.chosen?.drawer.focus({ preventScroll: true });
    };
    const link = ({ serviceId: name }) =>
      serviceLink(name, {
        onclick: (event) => select(event, name),
        href: format("impact", serviceId, { ...this.params, selected: name }),
      });
    return [
      { key: "serviceId", title: "Service", render: link, sort: (row) => row.serviceId },
      { key: "team", title: "Team", render: (row) => teamText(row.team), sort: (row) => row.team || "" },
      {
        key: "criticality",
        title: "Criticality",
        render: (row) => chip(row.criticality),
        sort: (row) => criticalityRank(row.criticality),
      },
      { key: "hops", title: "Hops", align: "right" },
      {
        key: "weakest",
        title: "Weakest link",
        render: (row) => strengthMark(row.weakestCriticality),
        sort: (row) => strengthRank(row.weakestCriticality),
      },
      { key: "path", title: "Shortest path", render: (row) => pathText(row.path) },
    ];
  }
}

function commandOf(question) {
  const { serviceId, maxHops, filter, includeStale } = question;
  const hops = maxHops ? ["--max-hops", maxHops] : [];
  const options = [...hops, ...filterOptions(filter, includeStale), ...asOfOption(question)];
  return commandLine(["depgraph", "impact", ...options], [serviceId]);
}
