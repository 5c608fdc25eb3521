// Calls of the server: JSON over HTTP, as any other program makes them.

const PACKAGE = "depgraph.v1";
// Kept in this page alone: a reload forgets it.
let token = "";

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
 * Call a unary method.
 *
 * @param {string} method "GraphService/Traverse"
 * @param {object} [request] in protobuf's JSON: fields in camelCase
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} the answer; fields with default values are missing from it
 * @throws {ApiError}
 */
export async function call(method, request = {}, signal) {
  const response = await posted(method, request, signal);
  return response.json();
}

/**
 * Call a method with a stream of answers, one after the other.
 *
 * @param {string} method
 * @param {object} [request]
 * @param {AbortSignal} [signal]
 * @returns {AsyncGenerator<any>}
 * @throws {ApiError}
 */
export async function* stream(method, request = {}, signal) {
  const response = await posted(method, request, signal);
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    let read;
    try {
      read = await reader.read();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError({ code: "unreachable", message: "the connection was lost" });
    }
    if (read.done) return;
    const lines = (rest + read.value).split("\n");
    rest = lines.pop();
    for (const text of lines) {
      const part = JSON.parse(text);
      if (part.error) throw new ApiError(part.error);
      yield part.result;
    }
  }
}

async function posted(method, request, signal) {
  const headers = { "Content-Type": "application/json", "Connect-Protocol-Version": "1" };
  if (token) headers.Authorization = `Bearer ${token}`;
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
    throw new ApiError({ code: "unreachable", message: "the server does not answer" });
  }
  if (response.ok) return response;
  throw new ApiError(await response.json().catch(() => ({ message: `HTTP ${response.status}` })));
}
