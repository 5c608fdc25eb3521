// The picture of a difference, with its legend and what it leaves out.

import { draw } from "../../graph/draw.js";
import { exportButtons } from "../../graph/export.js";
import { legend, usesOf } from "../../graph/legend.js";
import { h } from "../../lib/dom.js";
import { count } from "../../lib/words.js";
import { refill } from "../../parts/asking.js";
import { graphOf } from "./graph.js";

export class DiffPicture {
  /** @param {(name: string, state: any) => void} onopen a service, in the last state that holds it */
  constructor(onopen) {
    this.onopen = onopen;
    this.canvas = h("div", { class: "canvas" });
    this.under = h("div", { class: "row apart" });
    this.rest = h("p", { class: "soft" });
    const parts = [this.canvas, this.under, this.rest];
    this.element = h("section", { class: "diff-picture", "aria-label": "Picture" }, parts);
  }

  show(answer) {
    this.freshness = answer.freshness;
    const { picture, allNodes, allEdges } = graphOf(answer);
    this.element.hidden = !picture.nodes.length;
    if (this.element.hidden) return;
    if (this.drawing) this.drawing.update(picture);
    else this.begin(picture);
    refill(this.under, legend(usesOf(picture)), exportButtons(this.drawing.svg, "difference"));
    const isWhole = picture.nodes.length === allNodes && picture.edges.length === allEdges;
    this.rest.textContent = isWhole
      ? "Callers stand to the left. Services without a sign have not changed, but their calls."
      : `${count(picture.nodes.length)} of ${count(allNodes)} services are drawn, those with most changes, and ` +
        `${count(picture.edges.length)} of ${count(allEdges)} changed pairs. The lists hold all.`;
  }

  begin(picture) {
    this.drawing = draw(this.canvas, picture, {
      label:
        "Picture of the difference. Arrow keys go from node to node, Enter shows its neighbourhood. " +
        "The lists hold the same.",
      onopen: (node) =>
        this.onopen(node.label, node.change === "removed" ? this.freshness.from : this.freshness.to),
    });
  }
}
