// Impact: the services that are hit, as a picture in columns by hops; many of them grouped by team.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { count } from "../../lib/words.js";
import { draw } from "../../graph/draw.js";
import { exportButtons } from "../../graph/export.js";
import { legend, usesOf } from "../../graph/legend.js";
import { asking } from "../../parts/asking.js";
import { pictureEdge } from "../../parts/calls.js";
import { failure, waiting } from "../../parts/failure.js";

// Together with a group for each of so many teams at each depth that is under 300 nodes.
const MAX_SERVICES = 100;
const MAX_TEAMS = 15;
const MAX_DEPTH = 10;

/** The picture of an impact, in a section of its own. */
export class ImpactPicture {
  /**
   * @param {Object} options
   * @param {any} options.question request of AnalyzeImpact
   * @param {AbortSignal} options.signal
   * @param {(node: any) => void} options.onopen a service, with its name in `service`, or a group of a team
   */
  constructor({ question, signal, onopen }) {
    this.question = question;
    this.onopen = onopen;
    this.drawing = null;
    this.marked = [];
    /** @type {any} the service that fails, once it is known */
    this.center = null;
    this.place = h("div", { class: "picture-place" }, waiting("Drawing …"));
    this.element = h("section", { class: "impact-picture", "aria-label": "Picture" }, this.place);
    this.look = asking({
      place: this.place,
      signal,
      ask: (own) => call("GraphService/GetNeighbourhood", this.request(), own),
      show: (answer) => this.show(answer),
      fail: (error) => {
        this.drawing = null;
        return failure(error);
      },
    });
    this.look.look();
  }

  request() {
    const { serviceId, maxHops, includeStale, filter } = this.question;
    const maxDepth = maxHops ? Math.min(maxHops, MAX_DEPTH) : MAX_DEPTH;
    const bounds = { maxDepth, maxServices: MAX_SERVICES, maxTeams: MAX_TEAMS };
    return { serviceId, direction: "DIRECTION_UPSTREAM", includeStale, filter, ...bounds };
  }

  show(answer) {
    const picture = pictured(answer);
    this.center = answer.center;
    this.shown = new Set(picture.nodes.map((each) => each.id));
    this.element.hidden = picture.nodes.length < 2;
    if (this.drawing) this.drawing.update(picture);
    else this.begin(picture);
    this.note.textContent = noteOf(answer);
    this.mark(this.marked);
  }

  begin(picture) {
    const canvas = h("div", { class: "canvas" });
    this.note = h("p", { class: "soft" });
    this.place.replaceChildren(this.note, canvas);
    const label = `Services that are hit when ${this.question.serviceId} fails`;
    this.drawing = draw(canvas, picture, { label, onopen: this.onopen });
    const file = `impact of ${this.question.serviceId}`;
    this.place.append(h("div", { class: "row" }, legend(usesOf(picture)), exportButtons(this.drawing.svg, file)));
  }

  /** Light these services up, those of them that are drawn. @param {string[]} names */
  mark(names) {
    this.marked = names;
    const drawn = names.map(serviceNode).filter((id) => this.shown?.has(id));
    this.drawing?.highlight(drawn.length ? drawn : null);
  }
}

function pictured({ center, neighbours = [], groups = [], dependencies = [], groupCalls = [] }) {
  const own = (service, column, more = {}) => ({
    id: serviceNode(service.serviceId),
    label: service.serviceId,
    service: service.serviceId,
    kind: "service",
    serviceKind: service.kind,
    criticality: service.criticality,
    team: service.team,
    column,
    ...more,
  });
  const nodes = [
    own(center, 0, { isCenter: true }),
    ...neighbours.map(({ service, depth }) => own(service, -depth)),
    ...groups.map(groupNode),
  ];
  const calls = dependencies.map((each) =>
    pictureEdge(serviceNode(each.sourceServiceId), serviceNode(each.targetServiceId), [each]),
  );
  return { nodes, edges: [...calls, ...groupCalls.map((each) => groupEdge(each, groups))] };
}

function groupNode(group) {
  const { selector, serviceCount, teamCount } = group;
  const label = selector.otherTeams ? `${count(teamCount)} other teams` : selector.team || "no team";
  return {
    id: groupId(group),
    label,
    kind: selector.otherTeams ? "others" : "group",
    team: selector.team || undefined,
    count: serviceCount,
    criticality: group.highestCriticality,
    column: -selector.depth,
  };
}

function groupEdge({ source, target, calls }, groups) {
  const end = (each) => (each.serviceId === undefined ? groupId(groups[each.group || 0]) : serviceNode(each.serviceId));
  const modes = ["sync", "async", "unknown"].filter((mode) => calls[`${mode}Count`]);
  return {
    source: end(source),
    target: end(target),
    mode: modes.length === 1 ? modes[0] : "mixed",
    count: calls.pairCount,
    isStale: calls.staleCount === calls.pairCount,
  };
}

function groupId({ selector }) {
  return JSON.stringify([selector.depth, selector.team || "", Boolean(selector.otherTeams)]);
}

function serviceNode(name) {
  return `=${name}`;
}

function noteOf({ neighbours = [], groups = [], upstreamCount = 0 }) {
  if (!groups.length) return "Callers to the left, one column a hop. All services are drawn.";
  return `Callers to the left, one column a hop. The nearest ${count(neighbours.length)} of ${count(upstreamCount)} `
    + "services are drawn one by one, the others as teams.";
}
