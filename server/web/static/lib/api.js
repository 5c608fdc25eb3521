// Calls of the server: JSON over HTTP, as any other program makes them.

const PACKAGE = "depgraph.v1";
// Longer than the server takes for anything; without it a call through a dead network never ends.
const LONGEST_MS = 60_000;
// What answers without JSON stands before the server: Connect's codes for HTTP's.
const CODES = {
  401: "unauthenticated",
  403: "permission_denied",
  404: "unimplemented",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};
const UNREACHABLE = { code: "unreachable", message: "the server does not answer" };
// Kept in this page alone: a reload forgets it.
let token = "";
const observers = new Set();

/** What a call failed with. */
export class ApiError extends Error {
  /**
   * @param {{code?: string, message?: string, details?: Array<{type: string, debug?: any}>}} error
   */
  constructor(error) {
    super(error.message || error.code || "the call failed");
    /** Connect's code: "not_found", "unauthenticated"; "unreachable" = there was no answer. */
    this.code = error.code || "unknown";
    const info = (error.details || []).find((each) => each.type === "google.rpc.ErrorInfo");
    /** Of errors.proto. */
    this.reason = info?.debug?.reason || "";
    /** @type {Object<string, string>} */
    this.metadata = info?.debug?.metadata || {};
    const bad = (error.details || []).find((each) => each.type === "google.rpc.BadRequest");
    /** @type {Array<{field: string, description: string}>} */
    this.fields = bad?.debug?.fieldViolations || [];
  }
}

/** Send this token with every call from now on; "" = none. @param {string} text */
export function useToken(text) {
  token = text;
}

/** Whether calls carry a token. @returns {boolean} */
export function hasToken() {
  return token !== "";
}

/**
 * Be told of the end of every unary call; error null = it was answered.
 *
 * @param {(method: string, error: ApiError|null) => void} observer
 */
export function observe(observer) {
  observers.add(observer);
}

/**
 * Call a unary method.
 *
 * @param {string} method "GraphService/Traverse"
 * @param {object} [request] in protobuf's JSON: fields in camelCase
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} the answer; fields with default values are missing from it
 * @throws {ApiError}
 */
export async function call(method, request = {}, signal) {
  const longest = AbortSignal.timeout(LONGEST_MS);
  let error = null;
  try {
    return await answered(method, request, signal ? AbortSignal.any([signal, longest]) : longest);
  } catch (failure) {
    if (signal?.aborted) throw failure;
    error = failure instanceof ApiError ? failure : new ApiError(UNREACHABLE);
    throw error;
  } finally {
    if (!signal?.aborted) for (const observer of observers) observer(method, error);
  }
}

async function answered(method, request, signal) {
  const response = await posted(method, request, signal, token);
  return response.json();
}

/**
 * Call a method with a stream of answers, one after the other.
 *
 * @param {string} method
 * @param {object} [request]
 * @param {AbortSignal} [signal]
 * @param {string} [ownToken] instead of that of `useToken`
 * @returns {AsyncGenerator<any>}
 * @throws {ApiError}
 */
export async function* stream(method, request = {}, signal, ownToken = token) {
  const response = await posted(method, request, signal, ownToken);
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await readFrom(reader, signal);
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const text of lines) {
        const part = JSON.parse(text);
        if (part.error) throw new ApiError(part.error);
        yield part.result;
      }
    }
  } finally {
    // A reader that leaves early must not hold the connection.
    reader.cancel().catch(() => {});
  }
}

async function readFrom(reader, signal) {
  try {
    return await reader.read();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError({ code: "unreachable", message: "the connection was lost" });
  }
}

async function posted(method, request, signal, bearer) {
  const headers = { "Content-Type": "application/json", "Connect-Protocol-Version": "1" };
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  let response;
  try {
    response = await fetch(`/${PACKAGE}.${method}`, {
      method: "POST",
      headers,
      body: JSON.stringify(request),
      signal,
      credentials: "omit",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(UNREACHABLE);
  }
  if (response.ok) return response;
  const plain = { code: CODES[response.status], message: `HTTP ${response.status} ${response.statusText}` };
  throw new ApiError(await response.json().catch(() => plain));
}
