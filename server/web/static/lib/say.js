// What screen readers are told.

/**
 * Tell what happened; the same text twice in a row is said twice.
 *
 * @param {string} text
 */
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  // A change that comes at once after another is not announced.
  requestAnimationFrame(() => (place.textContent = text));
}
