// What to do while nobody reports.

import { h } from "../../lib/dom.js";

/** @returns {HTMLElement} */
export function firstSteps() {
  const code = (text) => h("pre", { tabindex: "0" }, text);
  return h(
    "div",
    { class: "card" },
    h("h2", {}, "How to connect"),
    h("p", {}, "Name the systems that know who calls whom in a file, and give it to the server:"),
    code('[[source]]\nname = "prometheus"\nkind = "prometheus"\nurl = "http://127.0.0.1:9090"'),
    code("depgraph serve --sources sources.toml"),
    h("p", {}, "Or pull them from elsewhere, or read one file:"),
    code("depgraph sync sources.toml\ndepgraph import dependencies.json"),
    h(
      "p",
      {},
      "The OpenTelemetry Collector sends its service graph to the server's own port. docs/connect.md ",
      "has a section for each system: Prometheus, Istio, Jaeger, Zipkin, Kiali, Backstage, Kubernetes.",
    ),
  );
}
