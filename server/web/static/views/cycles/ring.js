// Cycles: the cycle that stands for a component, drawn as a ring.

import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { count, counted } from "../../lib/words.js";
import { draw } from "../../graph/draw.js";
import { exportButtons } from "../../graph/export.js";
import { legend, usesOf } from "../../graph/legend.js";
import { asking } from "../../parts/asking.js";
import { callees } from "../../parts/callees.js";
import { pictureEdge } from "../../parts/calls.js";
import { failure } from "../../parts/failure.js";

// A longer cycle is drawn without its middle.
const MAX_NAMES = 30;
const UNKNOWN = "CRITICALITY_UNKNOWN";

/** The picture of a witness cycle; calls that a suggested cut takes away are marked. */
export class Ring {
  /** @param {AbortSignal} signal */
  constructor(signal) {
    this.path = [];
    this.known = new Map();
    this.calls = new Map();
    this.cuts = new Set();
    this.drawing = null;
    this.canvas = h("div", { class: "canvas canvas-ring" });
    this.under = h("div", { class: "row" });
    this.trouble = h("div", {});
    this.element = h(
      "section",
      { class: "ring", "aria-label": "The cycle" },
      this.canvas,
      this.trouble,
      this.under,
    );
    // The cycle itself is drawn at once; modes, criticalities and kinds follow.
    this.look = asking({
      place: this.trouble,
      signal,
      ask: (own) => this.ask(own),
      show: (answer) => this.show(answer),
      fail: (error) => failure(error),
    });
  }

  update({ cyclePath }) {
    if (cyclePath.join("\0") === this.path.join("\0")) return;
    this.path = cyclePath;
    this.stops = shortened(cyclePath);
    this.calls = new Map();
    this.fill();
    void this.look.look();
  }

  changed() {
    this.look.changed();
  }

  /** Mark the calls of suggested cuts. @param {any[]} cuts */
  cut(cuts) {
    this.cuts = new Set(cuts.map((each) => pairKey(each.sourceServiceId, each.targetServiceId)));
    if (this.path.length) this.fill();
  }

  /** Look up the services that are drawn, each as a callee of the one before, and their calls. */
  async ask(signal) {
    const drawn = this.stops.filter((each) => !each.others);
    const before = drawn.map(({ at }) => this.path.at(at - 1));
    const names = new Set(drawn.map(({ name }) => name));
    const pairs = new Set(drawn.map(({ name, at }) => pairKey(name, this.after(at))));
    const { services, dependencies } = await callees([...names, ...before], signal);
    return {
      services: services.filter((each) => names.has(each.serviceId)),
      dependencies: dependencies.filter((each) =>
        pairs.has(pairKey(each.sourceServiceId, each.targetServiceId)),
      ),
    };
  }

  show({ services, dependencies }) {
    this.trouble.replaceChildren();
    this.known = new Map(services.map((each) => [each.serviceId, each]));
    this.calls = Map.groupBy(dependencies, (each) => pairKey(each.sourceServiceId, each.targetServiceId));
    this.fill();
  }

  after(at) {
    return this.path[(at + 1) % this.path.length];
  }

  fill() {
    const picture = this.picture();
    const onopen = (node) => node.kind === "service" && (location.hash = format("focus", node.id));
    const label = `Cycle of ${counted(this.path.length, "service")}`;
    if (this.drawing) this.drawing.update(picture);
    else this.drawing = draw(this.canvas, picture, { label, onopen });
    this.under.replaceChildren(
      legend(usesOf(picture), "suggested cut"),
      exportButtons(this.drawing.svg, `cycle of ${this.path[0]}`),
    );
  }

  picture() {
    const { stops } = this;
    const nodes = stops.map((stop, at) => ({ ...this.node(stop), ...onRing(at, stops.length) }));
    const edges = stops.map((stop, at) => {
      const next = stops[(at + 1) % stops.length];
      const pair = stop.others ? "" : pairKey(stop.name, this.after(stop.at));
      const dependencies = this.calls.get(pair) || [];
      const isMarked = this.cuts.has(pair);
      const edge = dependencies.length
        ? pictureEdge(stop.id, next.id, dependencies, isMarked)
        : { source: stop.id, target: next.id, mode: "unknown", isMarked };
      return { ...edge, isCyclic: true };
    });
    return { nodes, edges };
  }

  node(stop) {
    if (stop.others) {
      return {
        id: stop.id,
        label: `${count(stop.others)} more`,
        kind: "others",
        count: stop.others,
        criticality: UNKNOWN,
      };
    }
    const { criticality = UNKNOWN, kind, team } = this.known.get(stop.name) || {};
    return { id: stop.id, label: stop.name, kind: "service", serviceKind: kind, criticality, team };
  }
}

function shortened(path) {
  const stops = path.map((name, at) => ({ id: name, name, at }));
  const left = stops.length - MAX_NAMES;
  if (left <= 1) return stops;
  const first = MAX_NAMES / 2;
  return [
    ...stops.slice(0, first),
    { id: JSON.stringify(["others", path[first]]), others: left },
    ...stops.slice(first + left),
  ];
}

// Clockwise, the first at the top.
function onRing(at, length) {
  const angle = (2 * Math.PI * at) / length;
  return { x: 0.5 + 0.5 * Math.sin(angle), y: 0.5 - 0.5 * Math.cos(angle) };
}

function pairKey(source, target) {
  return JSON.stringify([source, target]);
}
