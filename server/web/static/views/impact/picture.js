// Impact: the services that are hit, as a picture in columns by hops; many of them grouped by team.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { count } from "../../lib/words.js";
import { draw } from "../../graph/draw.js";
import { exportButtons } from "../../graph/export.js";
import { legend, usesOf } from "../../graph/legend.js";
import { asking, refill } from "../../parts/asking.js";
import { failure, waiting } from "../../parts/failure.js";
import { nodeId, pictureOf } from "../../parts/neighbourhood.js";

const MAX_DEPTH = 10;
// More services than this are a hairball: then a few are drawn, and teams for the others. Together with
// groups for each of so many teams at each depth that stays under 300 nodes.
const ALL = { maxServices: 40, maxTeams: 10 };
const FEW = { maxServices: 12, maxTeams: 10 };
const MANY = { maxServices: 120, maxTeams: 15 };
// Arrows between groups say little one by one: those of most calls are enough until more is asked for.
const FEW_ARROWS = 120;

/** The picture of an impact, in a section of its own. */
export class ImpactPicture {
  /**
   * @param {Object} options
   * @param {any} options.question request of AnalyzeImpact
   * @param {Object<string, string>} options.params of the address; `draw` = "many": more services one by one
   * @param {AbortSignal} options.signal
   * @param {(node: any) => void} options.onopen a service, or a group
   * @param {() => void} options.ondrawn
   * @param {(many: string) => void} options.onmany "many" or "" was asked for
   */
  constructor({ question, params, signal, onopen, ondrawn, onmany }) {
    this.question = question;
    this.params = params;
    this.onopen = onopen;
    this.ondrawn = ondrawn;
    this.onmany = onmany;
    this.drawing = null;
    this.marked = [];
    this.farthest = 0;
    /** @type {any} the service that fails, once it is known */
    this.center = null;
    this.place = h("div", { class: "picture-place" }, waiting("Drawing …"));
    this.element = h("section", { class: "impact-picture", "aria-label": "Picture" }, this.place);
    this.look = asking({
      place: this.place,
      signal,
      ask: (own) => this.ask(own),
      show: (answer) => this.show(answer),
      fail: (error) => {
        this.drawing = null;
        return failure(error);
      },
    });
    this.look.look();
  }

  async ask(signal) {
    const { serviceId, maxHops, includeStale, filter, consistency } = this.question;
    const maxDepth = maxHops ? Math.min(maxHops, MAX_DEPTH) : MAX_DEPTH;
    const direction = "DIRECTION_UPSTREAM";
    const request = { serviceId, direction, includeStale, filter, maxDepth, consistency };
    const around = (bounds) => call("GraphService/GetNeighbourhood", { ...request, ...bounds }, signal);
    if (this.params.draw === "many") return around(MANY);
    const all = await around(ALL);
    return all.groups ? around(FEW) : all;
  }

  show(answer) {
    const isFew = answer.groups && this.params.draw !== "many";
    const picture = pictureOf(answer, isFew ? FEW_ARROWS : undefined);
    this.answer = answer;
    this.center = answer.center;
    this.shown = new Set(picture.nodes.map((each) => each.id));
    this.element.hidden = picture.nodes.length < 2;
    if (this.drawing) this.drawing.update(picture);
    else this.begin(picture);
    refill(this.legend, legend(usesOf(picture)));
    this.fillNote();
    this.mark(this.marked);
    this.ondrawn();
  }

  /** @param {number} hops of the farthest service, which need not be drawn */
  reach(hops) {
    this.farthest = hops;
    if (this.drawing) this.fillNote();
  }

  fillNote() {
    refill(this.note, ...this.noteOf(this.answer));
  }

  noteOf({ neighbours = [], groups = [], upstreamCount = 0 }) {
    const isMany = this.params.draw === "many";
    const far = this.farthest > MAX_DEPTH ? `Only services up to ${MAX_DEPTH} hops away are drawn. ` : "";
    const hops = `Callers stand to the left, one column a hop. ${far}`;
    const ask = (text, many) => {
      const onclick = () => {
        this.onmany(many);
        void this.look.look();
      };
      return h("button", { type: "button", class: "small", "data-key": "draw", onclick }, text);
    };
    const fewer = isMany ? ask("Draw fewer", "") : "";
    if (!groups.length) return [hops, fewer];
    const nearest = `${count(neighbours.length)} of ${count(upstreamCount)} services`;
    const some = `The nearest ${nearest} are drawn one by one, `;
    return [hops, some, "the others as teams. ", fewer || ask("Draw more", "many")];
  }

  begin(picture) {
    const canvas = h("div", { class: "canvas" });
    this.note = h("p", { class: "soft" });
    this.place.replaceChildren(this.note, canvas);
    const label = `Services that are hit when ${this.question.serviceId} fails`;
    this.drawing = draw(canvas, picture, { label, onopen: this.onopen });
    const file = `impact of ${this.question.serviceId}`;
    this.legend = h("div", {});
    this.place.append(h("div", { class: "row" }, this.legend, exportButtons(this.drawing.svg, file)));
  }

  /** Light these services up, those of them that are drawn. @param {string[]} names */
  mark(names) {
    this.marked = names;
    const drawn = names.map(nodeId).filter((id) => this.shown?.has(id));
    this.drawing?.highlight(drawn.length ? drawn : null);
  }
}
