// Requests to the hub's API. The session's CSRF token goes with whatever changes something.

const BASE = "/api/v1";

/** An answer that is no success: `status` is the HTTP one, 0 where the hub did not answer; `body` is its JSON. */
export class ApiError extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }

  /** Whether this hub knows nothing of what was asked for. */
  get missing() {
    return this.status === 404 || this.status === 405;
  }
}

let session = null;

/** {csrf, password}: who this page is to the hub. */
export async function getSession(again = false) {
  if (again) await fetch("/", { cache: "no-store" }); // a hub without a password gives a new session with its page
  if (!session || again) session = fetch(`${BASE}/session`).then((answer) => (answer.ok ? answer.json() : null));
  return (await session) || { csrf: null, password: false };
}

async function request(method, path, body, again = false) {
  const options = { method, headers: {}, cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  if (method !== "GET") options.headers["X-CSRF-Token"] = (await getSession(again)).csrf || "";
  let answer;
  try {
    answer = await fetch(BASE + path, options);
  } catch {
    throw new ApiError(0, "the hub does not answer");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  if (answer.status === 401) toLogin();
  if (answer.status === 403 && method !== "GET" && !again) return request(method, path, body, true);
  throw new ApiError(answer.status, said.error || `the hub answers ${answer.status}`, said);
}

/** Go to the login page; come back to the same part. */
export function toLogin() {
  location.assign("/login" + location.hash);
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) => request("POST", path, body);
export const put = (path, body = {}) => request("PUT", path, body);

/** A part of a path or a query. */
export const q = encodeURIComponent;

/** Where a download starts. */
export const address = (path) => BASE + path;

/** End the session. */
export async function logOut() {
  await post("/logout").catch(() => {});
  toLogin();
}
