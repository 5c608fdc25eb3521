// The view Focus.

import { h } from "../lib/dom.js";

/** @type {import("../app.js").View} */
export const view = {
  id: "focus",
  title: "Focus",
  async show({ root }) {
    root.append(h("h1", {}, "Focus"));
  },
};
