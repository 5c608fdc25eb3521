// The view Status.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "status",
  title: "Status",
  async show({ root }) {
    root.append(h("h1", {}, "Status"));
  },
};
