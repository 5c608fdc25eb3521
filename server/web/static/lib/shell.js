// Commands to paste into a shell.

const PLAIN = /^[A-Za-z0-9_@%+:,./-]+$/;

/** Quote one word for a POSIX shell. @param {string|number} word @returns {string} */
export function quoted(word) {
  const text = String(word);
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * Write a command, every word quoted where it must be.
 *
 * @param {Array<string|number>} given command and options: ["depgraph", "show", "--hops", 2]
 * @param {string[]} [names] what follows; "--" precedes names that begin with "-"
 * @returns {string}
 */
export function commandLine(given, names = []) {
  const guard = names.some((name) => name.startsWith("-")) ? ["--"] : [];
  return [...given, ...guard, ...names].map(quoted).join(" ");
}

/**
 * Write a call by curl. The token is not in it: a shell's history would keep it.
 *
 * @param {string} method "GraphService/Traverse"
 * @param {object} request
 * @param {{origin?: string, withToken?: boolean}} [options]
 * @returns {string}
 */
export function curl(method, request, { origin = location.origin, withToken = false } = {}) {
  const token = withToken ? ' -H "Authorization: Bearer $DEPGRAPH_TOKEN"' : "";
  const url = quoted(`${origin}/depgraph.v1.${method}`);
  return `curl -sS${token} -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(request))} ${url}`;
}
