// A table that people sort, and that stays readable on a phone: there each row becomes a block of
// labelled lines (views/overview.css).

import { h } from "../lib/dom.js";

const STEP = 200;
const ALPHABET = new Intl.Collator(undefined, { numeric: true });

/**
 * @typedef {Object} Column
 * @property {string} key of the row, unless `render` says otherwise
 * @property {string} title
 * @property {"left"|"right"} [align] "right" for numbers
 * @property {(row: any) => Node|string|number} [render] what stands in the cell
 * @property {(row: any) => number|string} [sort] by what to sort; without it a column that has
 *   `render` can't be sorted
 */
/**
 * Make a table.
 *
 * The first rows are in the page, and a button brings as many more. The order of `rows` holds until
 * a heading is pressed.
 *
 * @param {Object} options
 * @param {string} options.caption what the table holds
 * @param {boolean} [options.isCaptionUnseen] a heading says it already
 * @param {Column[]} options.columns
 * @param {any[]} options.rows
 * @param {string} [options.empty] said when there are no rows
 * @param {number} [options.step] how many rows are shown at first, and at each press of the button
 * @returns {HTMLElement & {update: (rows: any[]) => void}} `update` shows other rows, and keeps the
 *   order, how many rows are shown, and the focus
 */
export function table({ caption, isCaptionUnseen, columns, rows, empty = "There are none.", step = STEP }) {
  const state = { rows, shown: step, by: null, descending: false };
  const headings = columns.map((column) => heading(column, () => turn(column)));
  const body = h("tbody", { role: "rowgroup" });
  // Styles take the roles of a table away where rows become blocks, so they are written down.
  const grid = h(
    "table",
    { class: "table", role: "table" },
    h("caption", { class: isCaptionUnseen ? "unseen" : null }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, headings)),
    body,
  );
  const more = h("button", { type: "button", onclick: showMore });
  const rest = h("p", { class: "table-rest" });
  const none = h("p", { class: "table-empty" }, empty);
  const whole = h("div", { class: "table-part" }, grid, rest, none);

  function turn(column) {
    state.descending = state.by === column && !state.descending;
    state.by = column;
    fill();
  }

  function showMore() {
    const next = state.shown;
    state.shown += step;
    fill();
    // The button may be gone; who pressed it goes on with the first new row.
    const row = body.rows[next];
    row?.setAttribute("tabindex", "-1");
    row?.focus();
  }

  function fill() {
    const ordered = state.by ? sorted(state.rows, state.by, state.descending) : state.rows;
    const visible = ordered.slice(0, state.shown);
    body.replaceChildren(...visible.map((row) => line(row, columns)));
    headings.forEach((cell, place) => mark(cell, columns[place] === state.by, state.descending));
    const hidden = ordered.length - visible.length;
    grid.hidden = !ordered.length;
    none.hidden = Boolean(ordered.length);
    rest.hidden = !hidden;
    more.textContent = `Show ${Math.min(hidden, step)} more`;
    rest.replaceChildren(`${number(visible.length)} of ${number(ordered.length)} rows. `, more);
  }

  fill();
  return Object.assign(whole, {
    update(others) {
      const held = placeOfFocus(body);
      state.rows = others;
      fill();
      restoreFocus(body, held);
    },
  });
}

function heading(column, onclick) {
  const attributes = { scope: "col", role: "columnheader", class: sideOf(column) };
  if (!isSortable(column)) return h("th", attributes, column.title);
  const arrow = h("span", { class: "table-arrow", "aria-hidden": "true" }, "↕");
  return h("th", attributes, h("button", { type: "button", onclick }, column.title, " ", arrow));
}

function mark(cell, isSorted, descending) {
  const arrow = cell.querySelector(".table-arrow");
  if (!arrow) return;
  arrow.textContent = !isSorted ? "↕" : descending ? "▼" : "▲";
  if (isSorted) cell.setAttribute("aria-sort", descending ? "descending" : "ascending");
  else cell.removeAttribute("aria-sort");
}

function line(row, columns) {
  const cells = columns.map((column) =>
    h("td", { role: "cell", class: sideOf(column), "data-title": column.title }, content(row, column)),
  );
  return h("tr", { role: "row" }, cells);
}

// Text stands in an element of its own direction: a name may be written from right to left.
function content(row, column) {
  const found = column.render ? column.render(row) : row[column.key];
  if (found instanceof Node) return found;
  return h("span", { dir: "auto" }, typeof found === "number" ? number(found) : (found ?? ""));
}

function sorted(rows, column, descending) {
  const keyOf = column.sort || ((row) => row[column.key]);
  const keyed = rows.map((row) => [keyOf(row) ?? "", row]);
  const sign = descending ? -1 : 1;
  return keyed.sort(([a], [b]) => sign * compared(a, b)).map(([, row]) => row);
}

function compared(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : ALPHABET.compare(String(a), String(b));
}

function isSortable(column) {
  return Boolean(column.sort || !column.render);
}

function sideOf(column) {
  return column.align === "right" ? "table-number" : null;
}

function number(value) {
  return value.toLocaleString("en");
}

// Where the focus is in the rows: the link's address finds it again although the rows moved.
function placeOfFocus(body) {
  const element = document.activeElement;
  if (!element || !body.contains(element)) return null;
  const row = [...body.rows].findIndex((each) => each.contains(element));
  return { row, href: element.getAttribute("href") };
}

function restoreFocus(body, held) {
  if (!held) return;
  const links = [...body.querySelectorAll("a[href], button")];
  const same = links.find((link) => held.href && link.getAttribute("href") === held.href);
  const near = body.rows[Math.min(held.row, body.rows.length - 1)]?.querySelector("a[href], button");
  (same || near)?.focus({ preventScroll: true });
}
