// The view Sources.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "sources",
  title: "Sources",
  async show({ root }) {
    root.append(h("h1", {}, "Sources"));
  },
};
