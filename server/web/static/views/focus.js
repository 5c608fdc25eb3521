// The view Focus: one service in the middle, its callers to the left, its callees to the right.

import { draw } from "../graph/draw.js";
import { legend, usesOf } from "../graph/legend.js";
import { ApiError, call } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { format } from "../lib/route.js";
import { justBefore, pastOf } from "../lib/times.js";
import { counted } from "../lib/words.js";
import { asking } from "../parts/asking.js";
import { nodeId, pictureOf } from "../parts/neighbourhood.js";
import { lastChange } from "../parts/listed_changes.js";
import { isBeyondHistory, waysOut } from "../parts/no_history.js";
import { panel } from "../parts/panel.js";
import { close, commandOf, HOPS, open, requestOf } from "./focus/address.js";
import { frame, openGroups, tools } from "./focus/frame.js";
import { list } from "./focus/list.js";
import { summary, title } from "./focus/words.js";

// With fewer services around it one hop shows little: then it is two.
const FEW = 12;
const MORE_HOPS = "2";
// Who moves the focus by the picture goes on in the next picture.
let goOnInPicture = false;

/** @type {import("../app.js").View} */
export const view = {
  id: "focus",
  title: "Focus",
  async show(context) {
    performance.mark("focus:asked");
    const { answer, hops } = await firstAnswer(context);
    const focus = new Focus(context, answer.center.serviceId, hops);
    focus.fill(answer);
    afterPaint(() => performance.mark("focus:drawn"));
    return { changed: () => focus.changed() };
  },
};

async function firstAnswer({ route, signal }) {
  const look = (hops) => {
    const params = { ...route.params, hops };
    return call("GraphService/GetNeighbourhood", requestOf({ ...route, params }), signal);
  };
  const given = route.params.hops;
  const answer = await look(given || HOPS);
  const isFew = (answer.upstreamCount || 0) + (answer.downstreamCount || 0) < FEW;
  if (given || !isFew) return { answer, hops: given || HOPS };
  return { answer: await look(MORE_HOPS), hops: MORE_HOPS };
}

class Focus {
  constructor(context, name, hops) {
    this.context = context;
    this.name = name;
    this.hops = hops;
    this.params = { ...context.route.params };
    this.parts = frame(this.params, hops, {
      onchange: (changed) => this.change({ ...this.params, ...changed }),
      ontime: (asOf) => this.changeTime(asOf),
      onback: (since, span) => void this.goBack(since, span),
      onlist: () => this.fillList(),
    });
    context.root.append(this.parts.whole);
    const { signal } = context;
    // In the place of `fail` stands why the picture is old; the picture itself stays.
    this.question = asking({
      place: this.parts.trouble,
      signal,
      ask: (own) => call("GraphService/GetNeighbourhood", requestOf(this.route), own),
      show: (answer) => this.refill(answer),
      fail: (error) => {
        this.parts.trouble.hidden = false;
        const ways = isBeyondHistory(error) ? waysOut(error) : "";
        return h("div", {}, `The picture is not that of the address: ${error.message} `, ways);
      },
    });
  }

  /** The route of what is in sight, its hops said. */
  get route() {
    return {
      view: "focus",
      name: this.name,
      params: { ...this.params, hops: this.params.hops || this.hops },
    };
  }

  fill(answer) {
    this.answer = answer;
    const picture = pictureOf(answer);
    this.parts.head.replaceChildren(title(answer.center), summary(answer, requestOf(this.route)));
    this.parts.then.at(this.route);
    this.parts.then.found(answer.freshness);
    this.paint(picture);
    this.parts.legend.replaceChildren(legend(usesOf(picture)));
    this.parts.opened.replaceChildren(
      ...openGroups(this.params, (selector) => this.change(close(this.params, selector))),
    );
    this.fillTools();
    this.fillList();
    this.look(this.params.selected || this.name);
  }

  paint(picture) {
    if (this.drawing) return this.drawing.update(picture);
    this.drawing = draw(this.parts.room, picture, {
      label:
        `Picture of the neighbourhood of ${this.name}. Arrow keys go from node to node, Enter moves the ` +
        `focus, the space bar shows details. The list below holds the same.`,
      onopen: (node) => this.opened(node),
      onselect: (node) => (node.kind === "service" ? this.select(node.label) : this.opened(node)),
    });
    if (goOnInPicture) this.drawing.focus();
    goOnInPicture = false;
  }

  opened(node) {
    if (node.kind === "group") this.change(open(this.params, node.selector));
    else if (node.kind === "others") this.showList();
    else if (node.isCenter) this.select(node.label);
    else this.move(node.label);
  }

  move(name) {
    goOnInPicture = true;
    location.hash = format("focus", name, { ...this.params, opened: "", selected: "" });
  }

  // What is selected is in the address, but is no step back.
  select(name) {
    this.params = { ...this.params, selected: name === this.name ? "" : name };
    history.replaceState(history.state, "", format("focus", this.name, this.params));
    this.context.say(`Details of ${name} are shown.`);
    this.look(name);
  }

  look(name) {
    this.drawing.choose(nodeId(name));
    const past = pastOf(this.params);
    const looked = JSON.stringify([name, past]);
    if (this.looked === looked) return;
    this.looked = looked;
    this.leavePanel?.abort();
    this.leavePanel = new AbortController();
    const signal = AbortSignal.any([this.context.signal, this.leavePanel.signal]);
    this.panel = panel({ serviceId: name, inFocus: this.name, past, signal });
    this.parts.side.replaceChildren(this.panel.root);
  }

  // Other controls, the same place: the address changes, and this view stays.
  change(params) {
    this.params = params;
    history.pushState(null, "", format("focus", this.name, params));
    return this.moved();
  }

  // Who looks for a time by the slider goes back to where they began, not through all they saw.
  changeTime(asOf) {
    const params = { ...this.params, as_of: asOf };
    if (!asOf || !this.params.as_of) return this.change(params);
    this.params = params;
    history.replaceState(history.state, "", format("focus", this.name, params));
    return this.moved();
  }

  // To the graph just before the last change of what the picture can show.
  async goBack(since, span) {
    const until = this.params.as_of;
    const request = { serviceId: this.name, maxHops: Number(this.route.params.hops), since };
    this.leaveSearch?.abort();
    this.leaveSearch = new AbortController();
    const signal = AbortSignal.any([this.context.signal, this.leaveSearch.signal]);
    try {
      const time = await lastChange(until ? { ...request, until } : request, signal);
      this.parts.trouble.hidden = time !== null;
      const end = until ? "then" : "now";
      if (time === null) this.parts.trouble.textContent = `Nothing changed here in the ${span} before ${end}.`;
      if (time === null) return;
      const asOf = justBefore(time);
      this.parts.showTime(asOf);
      await this.changeTime(asOf);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.parts.trouble.hidden = false;
      this.parts.trouble.textContent = error.message;
    }
  }

  moved() {
    // Who has gone elsewhere is not taken back to the last change there was.
    this.leaveSearch?.abort();
    this.context.moved();
    performance.mark("focus:asked");
    return this.ask();
  }

  async ask() {
    await this.question.look();
    if (this.parts.trouble.hidden) {
      this.context.say(this.parts.head.querySelector(".focus-summary").textContent);
    }
  }

  changed() {
    // The past stays as it was.
    if (this.params.as_of) return;
    this.question.changed();
    this.panel.changed();
  }

  refill(answer) {
    this.parts.trouble.hidden = true;
    this.fill(answer);
    afterPaint(() => performance.mark("focus:drawn"));
  }

  // Only when they change: a copy button may have the focus, or just say "Copied".
  fillTools() {
    const what = JSON.stringify(commandOf(this.route));
    if (this.copied === what) return;
    this.copied = what;
    this.parts.tools.replaceChildren(...tools(this.route, this.drawing.svg, this.parts.side));
  }

  fillList() {
    const { list: details } = this.parts;
    if (!this.answer) return;
    const { neighbours = [], groups = [] } = this.answer;
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
    const { list: details } = this.parts;
    details.open = true;
    this.fillList();
    details.scrollIntoView({ block: "start" });
    details.firstChild.focus();
  }
}

// After the browser has put on the screen what is in the page now.
function afterPaint(act) {
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      act();
    };
    port2.postMessage(null);
  });
}
