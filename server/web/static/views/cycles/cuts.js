// Cycles: dependencies to remove so that no cycle of the component is left.

import { call } from "../../lib/api.js";
import { h } from "../../lib/dom.js";
import { format } from "../../lib/route.js";
import { commandLine } from "../../lib/shell.js";
import { counted } from "../../lib/words.js";
import { asking } from "../../parts/asking.js";
import { confidence, dependencyText } from "../../parts/calls.js";
import { copyBar } from "../../parts/copy.js";
import { checkField } from "../../parts/fields.js";
import { failure, waiting } from "../../parts/failure.js";
import { cycleText, pathText, serviceLink } from "../../parts/names.js";
import { table } from "../../parts/table.js";
import { isGone } from "./parts.js";

/** The suggested cuts of an alert's component. */
export class Cuts {
  /**
   * @param {Object} options
   * @param {string} options.id of the alert
   * @param {Object<string, string>} options.params of the address; `sync` = "1": cycles of
   *   synchronous calls alone
   * @param {AbortSignal} options.signal
   * @param {(cuts: any[]) => void} options.onfound
   */
  constructor({ id, params, signal, onfound }) {
    this.params = params;
    this.id = id;
    this.service = "";
    this.onfound = onfound;
    this.place = h("div", {});
    this.bar = h("div", {});
    this.element = h(
      "section",
      { class: "cuts", "aria-labelledby": "cuts-title" },
      h("h2", { id: "cuts-title" }, "Suggested cuts"),
      this.bar,
      this.place,
    );
    this.look = asking({
      place: this.place,
      signal,
      ask: (own) => call("AnalysisService/SuggestCuts", this.request(), own),
      show: (answer) => this.show(answer),
      fail: (error) => failure(error),
    });
  }

  update(alert) {
    this.element.hidden = isGone(alert);
    const service = alert.cyclePath[0];
    if (service === this.service || isGone(alert)) return;
    this.service = service;
    this.ask();
  }

  changed() {
    if (!this.element.hidden && this.service) this.look.changed();
  }

  request() {
    return { serviceId: this.service, syncOnly: this.params.sync === "1" };
  }

  ask() {
    const options = this.params.sync === "1" ? ["--sync-only"] : [];
    const command = commandLine(["depgraph", "cuts", ...options], [this.service]);
    this.bar.replaceChildren(
      this.choice(),
      copyBar({ command, method: "AnalysisService/SuggestCuts", request: this.request() }),
    );
    this.place.replaceChildren(waiting("Looking for cuts …"));
    return this.look.look();
  }

  choice() {
    return checkField({
      label: "Only cycles of synchronous calls: a cut may then also be a call that is made asynchronous",
      checked: this.params.sync === "1",
      onchange: (isOn) => {
        this.params.sync = isOn ? "1" : "";
        history.replaceState(history.state, "", format("cycles", this.id, this.params));
        this.ask();
        this.bar.querySelector("input").focus();
      },
    });
  }

  show({ cuts = [], totalCost = 0, isOptimal, component }) {
    this.onfound(cuts);
    if (!cuts.length) {
      const calls = this.params.sync === "1" ? "synchronous calls" : "dependencies";
      this.place.replaceChildren(
        h("p", { class: "empty" }, `There is no cycle of ${calls}: nothing has to be cut.`),
      );
      return;
    }
    const what = cuts.length === 1 ? "this dependency" : `these ${counted(cuts.length, "dependency")}`;
    const how = this.params.sync === "1" ? "Remove or make asynchronous" : "Remove";
    const cost = isOptimal ? "proven minimum" : "cheaper cuts may exist";
    this.place.replaceChildren(
      h(
        "p",
        {},
        h("strong", {}, `${how} ${what}`),
        ` and none of the ${counted(component.size, "service")} calls itself round. ` +
          `Total cost ${totalCost.toFixed(2)} (${cost}).`,
      ),
      table({ caption: "Cuts, cheapest first", columns: columns(), rows: cuts }),
      h(
        "p",
        { class: "soft" },
        "A hard, synchronous, declared call costs 1; asynchronous, softer and less certain ones cost less.",
      ),
    );
  }
}

function columns() {
  const ends = (each) => [each.sourceServiceId, each.targetServiceId];
  return [
    {
      key: "cut",
      title: "Cut",
      render: (each) => pathText(ends(each), (name) => serviceLink(name)),
      sort: (each) => ends(each).join(" "),
    },
    {
      key: "cost",
      title: "Cost",
      align: "right",
      render: ({ cost }) => cost.toFixed(2),
      sort: ({ cost }) => cost,
    },
    {
      key: "why",
      title: "Why it is cheap or dear",
      render: ({ dependencies = [] }) => reasons(dependencies),
    },
    {
      key: "dependencies",
      title: "Dependencies",
      render: ({ dependencies = [] }) => dependencies.map(dependencyText).join(" + "),
    },
    {
      key: "cycle",
      title: "A cycle that it alone breaks",
      render: ({ cyclePath = [] }) => (cyclePath.length ? cycleText(cyclePath) : "–"),
    },
  ];
}

// In the words of docs/cuts.md, which has the factors.
function reasons(dependencies) {
  const all = (test) => dependencies.length > 0 && dependencies.every(test);
  const found = [
    dependencies.length > 1 &&
      `${counted(dependencies.length, "source")} report it, and all of that has to go`,
    all((each) => each.communicationMode === "COMMUNICATION_MODE_ASYNC") && "nobody waits for it",
    all((each) => each.criticality === "DEPENDENCY_CRITICALITY_SOFT") && "the caller goes on without it",
    all((each) => each.criticality === "DEPENDENCY_CRITICALITY_DEGRADED") && "the caller goes on with less",
    all((each) => each.discoverySource !== "DISCOVERY_SOURCE_MANUAL") && "no person declared it",
    all((each) => confidence(each) < 1) && "it is not certain",
  ].filter(Boolean);
  return found.length ? found.join("; ") : "synchronous, hard, declared: as dear as can be";
}
