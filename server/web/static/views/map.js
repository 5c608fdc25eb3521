// The view Map: teams, or services with the same metadata, as nodes, and the calls between them; or
// the inside of one of them.

import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { commandLine } from "../lib/shell.js";
import { count } from "../lib/words.js";
import { draw } from "../graph/draw.js";
import { exportButtons } from "../graph/export.js";
import { legend, usesOf } from "../graph/legend.js";
import { answered } from "../parts/answered.js";
import { refill } from "../parts/asking.js";
import { copyBar } from "../parts/copy.js";
import { controls, crumbs, finder, inWords, thresholds } from "./map/controls.js";
import { leastCalls, matching, pictureOf, settle } from "./map/picture.js";
import { MOST_NODES, copiedOf, inside, otherwise, questionOf } from "./map/question.js";
import { tables } from "./map/tables.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "map",
  title: "Map",
  async show({ root, route, signal, say }) {
    const asked = questionOf(route);
    const page = new MapPage(asked, say);
    const { options, method, request } = copiedOf(asked);
    const answer = answered({
      body: page.body,
      text: asked.isInside ? "Drawing the group" : "Drawing the map",
      signal,
      ask: (own) => call("GraphService/GetMap", request, own),
      show: (found) => page.show(found),
    });
    root.append(
      h(
        "div",
        { class: "overview-head" },
        h("div", { class: "row" }, h("h1", {}, "Map"), crumbs(asked)),
        copyBar({ command: commandLine(["depgraph", "map", ...options]), method, request }),
      ),
      controls(asked),
      answer.place,
    );
    await answer.look();
    return { changed: answer.changed };
  },
};

class MapPage {
  constructor(asked, say) {
    this.asked = asked;
    this.say = say;
    this.least = Number(asked.params.least) || 0;
    this.places = new Map();
    this.drawing = null;
    this.summary = h("p", {});
    this.arrows = h("div", { class: "map-arrows" });
    this.finder = finder(
      (text) => this.find(text),
      (text) => this.openFirst(text),
    );
    this.room = h("div", { class: "map-room" });
    this.under = h("div", { class: "map-under" });
    this.none = h("p", { class: "empty" }, asked.isInside ? "The group is empty." : "The graph is empty.");
    this.tables = tables(asked);
    this.picturePart = h(
      "div",
      {},
      h("div", { class: "row map-tools" }, this.finder.root, this.arrows),
      this.room,
      this.under,
      this.tables.root,
    );
    this.body = h("div", {}, this.summary, this.none, this.picturePart);
  }

  show(found) {
    this.found = found;
    this.whole = pictureOf(found, this.asked);
    settle(this.whole, this.places);
    this.summary.replaceChildren(...inWords(found, this.asked));
    const isEmpty = this.whole.nodes.length === 0;
    this.none.hidden = !isEmpty;
    this.summary.hidden = this.picturePart.hidden = isEmpty;
    this.tables.update(this.whole);
    this.draw();
  }

  draw() {
    const { nodes, edges } = this.whole;
    // Chosen once: a change of the graph must not take arrows away.
    this.least ||= leastCalls(this.whole);
    this.shown = { nodes, edges: edges.filter((edge) => edge.count >= this.least) };
    refill(this.arrows, ...thresholds(edges, this.least, (least) => this.setLeast(least)));
    if (!nodes.length) return;
    if (this.drawing) this.drawing.update(this.shown);
    else {
      const label = "Map. Arrow keys lead from node to node, Enter opens one.";
      this.drawing = draw(this.room, this.shown, { label, onopen: (node) => this.open(node) });
    }
    const file = `map ${this.asked.name || "all"}`;
    refill(this.under, legend(usesOf(this.shown)), exportButtons(this.drawing.svg, file));
    this.finder.find();
  }

  setLeast(least) {
    this.least = least;
    this.asked.params.least = String(least);
    history.replaceState(history.state, "", otherwise(this.asked, {}));
    this.draw();
  }

  find(text) {
    if (!this.drawing) return "";
    const found = matching(this.shown, text);
    this.drawing.highlight(text.trim() ? found.map((node) => node.id) : null);
    return text.trim() ? `${count(found.length)} of ${count(this.shown.nodes.length)}` : "";
  }

  openFirst(text) {
    const [first] = matching(this.shown, text);
    if (first) this.open(first);
  }

  open(node) {
    if (node.kind === "service") location.hash = format("focus", node.label);
    else if (node.kind === "group") location.hash = inside(this.asked, node.group);
    else if (this.asked.most < MOST_NODES) location.hash = otherwise(this.asked, { nodes: MOST_NODES });
    else this.say(`A picture has ${MOST_NODES} nodes at most. Search for a service to see others.`);
  }
}
