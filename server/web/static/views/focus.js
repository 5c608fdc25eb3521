// The view Focus: one service in the middle, its callers to the left, its callees to the right.

import { draw } from "../graph/draw.js";
import { exportButtons } from "../graph/export.js";
import { legend, usesOf } from "../graph/legend.js";
import { ApiError, call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { count, counted } from "../lib/words.js";
import { copyBar } from "../parts/copy.js";
import { filters } from "../parts/filters.js";
import { panel } from "../parts/panel.js";
import { close, commandOf, HOPS, MOST, open, openedOf, requestOf } from "./focus/address.js";
import { list } from "./focus/list.js";
import { nodeId, pictureOf } from "./focus/picture.js";
import { summary, title } from "./focus/words.js";

// Who moves the focus by the keyboard goes on in the next picture.
let goOnInPicture = false;

/** @type {import("../app.js").View} */
export const view = {
  id: "focus",
  title: "Focus",
  async show(context) {
    performance.mark("focus:asked");
    const answer = await call("GraphService/GetNeighbourhood", requestOf(context.route), context.signal);
    const screen = new Focus(context, answer);
    screen.fill(answer);
    afterPaint(() => performance.mark("focus:drawn"));
    return { changed: () => screen.changed() };
  },
};

class Focus {
  constructor(context, answer) {
    this.context = context;
    this.params = { ...context.route.params };
    // The start shows the service that the server chose; from now on it is this one.
    this.name = answer.center.serviceId;
    this.parts = {
      head: h("div", { class: "focus-head" }),
      opened: h("div", { class: "row focus-opened" }),
      trouble: h("p", { class: "warning", role: "alert", hidden: true }),
      room: h("div", { class: "focus-room" }),
      side: h("aside", { class: "focus-side", "aria-label": "Details of a service" }),
      legend: h("div", {}),
      tools: h("div", { class: "row focus-tools" }),
      list: h(
        "details",
        { class: "focus-list", ontoggle: () => this.fillList() },
        h("summary", {}, "As a list"),
      ),
    };
    const { head, opened, trouble, room, side, legend: signs, tools, list: rows } = this.parts;
    const picture = h("div", { class: "focus-picture" }, room, signs, tools);
    const fields = ["hops", "direction", "modes", "criticalities", "stale", "confidence"];
    this.controls = h(
      "div",
      { class: "row focus-controls" },
      filters({ params: this.params, fields, hops: HOPS, onchange: (params) => this.change(params) }),
      this.most(),
    );
    context.root.append(
      h(
        "div",
        { class: "focus" },
        head,
        this.controls,
        opened,
        trouble,
        h("div", { class: "focus-stage" }, picture, side),
        rows,
      ),
    );
    this.isAsking = false;
    this.isBehind = false;
  }

  fill(answer) {
    this.answer = answer;
    const picture = pictureOf(answer);
    this.parts.head.replaceChildren(title(answer.center), summary(answer, requestOf(this.route())));
    if (this.drawing) this.drawing.update(picture);
    else this.draw(picture);
    this.parts.legend.replaceChildren(legend(usesOf(picture)));
    this.parts.tools.replaceChildren(
      exportButtons(this.drawing.svg, this.name),
      copyBar(commandOf(this.route())),
    );
    this.fillOpened();
    this.fillList();
    this.select(this.params.selected || this.name, false);
  }

  draw(picture) {
    this.drawing = draw(this.parts.room, picture, {
      label:
        `Picture of the neighbourhood of ${this.name}. Arrow keys go from node to node, Enter moves the ` +
        `focus, the space bar shows details. The list below holds the same.`,
      onopen: (node) => this.opened(node),
      onselect: (node) => (node.kind === "service" ? this.select(node.label, true) : this.opened(node)),
    });
    if (goOnInPicture) this.drawing.focus();
    goOnInPicture = false;
  }

  route() {
    return { view: "focus", name: this.name, params: this.params };
  }

  opened(node) {
    if (node.kind === "group") this.change(open(this.params, node.selector));
    else if (node.kind === "others") this.showList();
    else if (node.isCenter) this.select(node.label, true);
    else this.move(node.label);
  }

  move(name) {
    goOnInPicture = true;
    const { opened, selected, ...kept } = this.params;
    location.hash = format("focus", name, kept);
  }

  // Details of a service; what is selected is in the address, but no step back.
  select(name, byHand) {
    this.drawing.choose(nodeId(name));
    if (byHand) {
      this.params = { ...this.params, selected: name === this.name ? "" : name };
      history.replaceState(null, "", format("focus", this.name, this.params));
      this.context.say(`Details of ${name} are shown.`);
    }
    if (this.shownName === name && !byHand) return this.details?.refresh?.();
    this.shownName = name;
    this.fillSide(name);
  }

  async fillSide(name) {
    const side = this.parts.side;
    side.replaceChildren(h("p", { class: "soft" }, "…"));
    try {
      const details = await panel(this.context, name);
      if (this.shownName !== name) return;
      this.details = details;
      side.replaceChildren(details);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (this.shownName === name) side.replaceChildren(h("p", { class: "warning" }, error.message));
    }
  }

  // Other controls, the same place: the address changes, and this view stays.
  change(params) {
    this.params = params;
    history.pushState(null, "", format("focus", this.name, params));
    performance.mark("focus:asked");
    return this.ask(true);
  }

  changed() {
    return this.ask(false);
  }

  // One call at a time; what comes meanwhile is asked once more afterwards.
  async ask(byHand) {
    if (this.isAsking) {
      this.isBehind = true;
      return;
    }
    this.isAsking = true;
    try {
      do {
        this.isBehind = false;
        this.fill(await call("GraphService/GetNeighbourhood", requestOf(this.route()), this.context.signal));
      } while (this.isBehind);
      this.parts.trouble.hidden = true;
      if (byHand) this.context.say(this.parts.head.querySelector(".focus-summary").textContent);
      afterPaint(() => performance.mark("focus:drawn"));
    } catch (error) {
      if (!(error instanceof ApiError)) {
        if (error.name !== "AbortError") throw error;
        return;
      }
      // What is in sight stays, and says that it is old.
      this.parts.trouble.textContent = `The picture is not up to date: ${error.message}`;
      this.parts.trouble.hidden = false;
    } finally {
      this.isAsking = false;
    }
  }

  fillOpened() {
    const selectors = openedOf(this.params);
    const chip = (selector) => {
      const side = selector.direction === "DIRECTION_UPSTREAM" ? "callers" : "callees";
      const text = `${selector.team || "no team"}, ${side} at ${counted(selector.depth, "hop")}`;
      const onclick = () => this.change(close(this.params, selector));
      return h(
        "button",
        { type: "button", class: "small", onclick, "aria-label": `Close the group ${text}` },
        h("bdi", {}, text),
        " ×",
      );
    };
    this.parts.opened.hidden = !selectors.length;
    this.parts.opened.replaceChildren(h("span", { class: "soft" }, "Opened groups:"), ...selectors.map(chip));
  }

  fillList() {
    const { list: details } = this.parts;
    const { neighbours = [], groups = [] } = this.answer || {};
    const what = [
      counted(neighbours.length, "service"),
      groups.length ? counted(groups.length, "group") : "",
    ];
    details.firstChild.textContent = `As a list: ${what.filter(Boolean).join(", ")}`;
    // A list that nobody sees costs nothing.
    if (!details.open) return;
    if (this.rows) return this.rows.show(this.answer);
    this.rows = list(this.answer, {
      linkTo: (name) => format("focus", name, { ...this.params, opened: "", selected: "" }),
      onopen: (selector) => this.change(open(this.params, selector)),
    });
    details.append(this.rows);
  }

  showList() {
    this.parts.list.open = true;
    this.fillList();
    this.parts.list.scrollIntoView({ block: "start" });
    this.parts.list.firstChild.focus();
  }

  most() {
    const chosen = this.params.most || String(MOST);
    const onchange = (event) => this.change({ ...this.params, most: event.target.value });
    const steps = ["25", "50", String(MOST), "200", "250"];
    const options = (steps.includes(chosen) ? steps : [...steps, chosen]).map((each) =>
      h("option", { value: each, selected: each === chosen }, `${count(each)} services`),
    );
    return h("label", { class: "labelled" }, "Show up to", h("select", { onchange }, options));
  }
}

// After the browser has put on the screen what is in the page now.
function afterPaint(act) {
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      act();
    };
    channel.port2.postMessage(null);
  });
}
