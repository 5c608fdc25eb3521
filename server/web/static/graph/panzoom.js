// Moving and scaling a picture: wheel, pinch, drag, buttons and keys.
//
// The picture is moved as a whole, by a CSS transform: the browser draws it once and then only moves
// what it has drawn, until the hand rests.

import { h } from "../lib/dom.js";

const LEAST = 0.1;
const MOST = 4;
// What is drawn at first is never smaller than this: names stay readable, the rest is a drag away.
const READABLE = 0.62;
// ... but for one that all but fits: letters a little smaller are better than nodes cut at the border.
const NEARLY = 0.5;
const REST = 160;
const BUTTONS = 32;
const STEP = 1.3;
const CLICK = 5;

/**
 * @typedef {Object} PanZoom
 * @property {(all?: boolean) => void} fit show everything; unless `all`, no smaller than is readable
 * @property {(factor: number) => void} zoom about the middle
 * @property {(dx: number, dy: number) => void} pan in pixels of the screen
 * @property {(box: {x: number, y: number, width: number, height: number}) => void} reveal into sight
 * @property {(frame: {x: number, y: number, width: number, height: number},
 *   middle: {x: number, y: number}) => void} frame what there is to see
 * @property {() => {x: number, y: number, scale: number, isUntouched: boolean}} state untouched: as `fit`
 *   has left it
 * @property {(dx: number, dy: number) => void} shift the picture in its own units, without animation
 * @property {HTMLElement} buttons
 * @property {() => void} destroy
 */

/**
 * Let a picture be moved and scaled inside its room.
 *
 * @param {HTMLElement} room
 * @param {SVGElement} svg its viewBox is its frame
 * @returns {PanZoom}
 */
export function panzoom(room, svg) {
  const off = new AbortController();
  const on = (target, name, act, options) =>
    target.addEventListener(name, act, { signal: off.signal, ...options });
  let frame = { x: 0, y: 0, width: 1, height: 1 };
  let middle = { x: 0, y: 0 };
  let view = { x: 0, y: 0, scale: 1 };
  let untouched = true;
  let resting = 0;
  let asked = 0;

  function apply() {
    asked = 0;
    svg.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }
  // At most once a frame, however many events come.
  function move(next) {
    view = next;
    svg.classList.add("moving");
    clearTimeout(resting);
    resting = setTimeout(() => svg.classList.remove("moving"), REST);
    asked ||= requestAnimationFrame(apply);
  }
  function zoomAt(factor, x, y) {
    const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
    const real = scale / view.scale;
    untouched = false;
    move({ scale, x: x - (x - view.x) * real, y: y - (y - view.y) * real });
  }
  function pan(dx, dy) {
    untouched = false;
    move({ ...view, x: view.x + dx, y: view.y + dy });
  }
  function fit(all = false) {
    const wide = room.clientWidth;
    // The buttons stand below the picture.
    const high = room.clientHeight - BUTTONS;
    if (wide <= 0 || high <= 0) return;
    const whole = Math.min(wide / frame.width, high / frame.height, 1.25);
    const scale = Math.max(whole, all || whole >= NEARLY ? LEAST : READABLE);
    const along = (size, length, center) => {
      const rest = size - length * scale;
      return rest >= 0 ? rest / 2 : clamp(size / 2 - center * scale, rest, 0);
    };
    view = {
      scale,
      x: along(wide, frame.width, middle.x - frame.x),
      y: along(high, frame.height, middle.y - frame.y),
    };
    untouched = true;
    apply();
  }
  function reveal(box) {
    const edge = 24;
    const left = (box.x - frame.x) * view.scale + view.x;
    const top = (box.y - frame.y) * view.scale + view.y;
    const right = left + box.width * view.scale;
    const bottom = top + box.height * view.scale;
    const dx = left < edge ? edge - left : Math.min(0, room.clientWidth - edge - right);
    const dy = top < edge ? edge - top : Math.min(0, room.clientHeight - edge - bottom);
    if (dx || dy) pan(dx, dy);
  }

  on(
    room,
    "wheel",
    (event) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? room.clientHeight : 1;
      if (event.shiftKey) return pan(-(event.deltaX || event.deltaY) * unit, 0);
      const { left, top } = room.getBoundingClientRect();
      const pinch = event.ctrlKey ? 0.01 : 0.0016;
      const delta = Math.max(-400, Math.min(400, event.deltaY * unit));
      zoomAt(Math.exp(-delta * pinch), event.clientX - left, event.clientY - top);
    },
    { passive: false },
  );
  dragging(room, on, { pan, zoomAt });
  // A browser that brings a focused node into sight scrolls the room: here the picture moves instead.
  on(room, "scroll", () => {
    const { scrollLeft, scrollTop } = room;
    if (!scrollLeft && !scrollTop) return;
    room.scrollTo(0, 0);
    pan(-scrollLeft, -scrollTop);
  });
  const size = new ResizeObserver(() => untouched && fit());
  size.observe(room);

  const zoom = (factor) => zoomAt(factor, room.clientWidth / 2, room.clientHeight / 2);
  const button = (text, label, onclick) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick }, text);
  const buttons = h(
    "div",
    { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("+", "Zoom in", () => zoom(STEP)),
    button("−", "Zoom out", () => zoom(1 / STEP)),
    button("Fit", "Fit the whole picture", () => fit(true)),
  );
  return {
    fit,
    zoom,
    pan,
    reveal,
    buttons,
    frame(next, at) {
      // What stood in the middle stays where it is on the screen.
      const keep = !untouched;
      const x = view.x + (middle.x - frame.x) * view.scale;
      const y = view.y + (middle.y - frame.y) * view.scale;
      frame = next;
      middle = at;
      if (!keep) return fit();
      view = { ...view, x: x - (at.x - next.x) * view.scale, y: y - (at.y - next.y) * view.scale };
      apply();
    },
    state: () => ({ ...view, isUntouched: untouched }),
    destroy() {
      off.abort();
      size.disconnect();
      clearTimeout(resting);
      cancelAnimationFrame(asked);
    },
  };
}

// One pointer drags, two pinch. A press that stays where it is remains a click.
function dragging(room, on, { pan, zoomAt }) {
  const pointers = new Map();
  let dragged = false;
  const gap = () => {
    const [a, b] = [...pointers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  on(room, "pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button")) return;
    if (!pointers.size) dragged = false;
    const from = { x: event.clientX, y: event.clientY };
    pointers.set(event.pointerId, { ...from, from });
  });
  on(room, "pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    const { clientX: x, clientY: y } = event;
    if (!dragged && Math.hypot(x - pointer.from.x, y - pointer.from.y) < CLICK) return;
    if (!dragged) room.setPointerCapture(event.pointerId);
    dragged = true;
    const before = pointers.size === 2 ? gap() : 0;
    const share = 1 / pointers.size;
    pan((x - pointer.x) * share, (y - pointer.y) * share);
    Object.assign(pointer, { x, y });
    if (pointers.size !== 2) return;
    const [a, b] = [...pointers.values()];
    const { left, top } = room.getBoundingClientRect();
    zoomAt(gap() / (before || 1), (a.x + b.x) / 2 - left, (a.y + b.y) / 2 - top);
  });
  const end = (event) => pointers.delete(event.pointerId);
  on(room, "pointerup", end);
  on(room, "pointercancel", end);
  on(
    room,
    "click",
    (event) => {
      if (dragged) event.stopPropagation();
      dragged = false;
    },
    { capture: true },
  );
}

function clamp(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
