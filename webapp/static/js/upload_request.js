// One request of an upload: some files sent to the API, with progress.

// How long nothing may move before the connection counts as lost. A server that is busy with other uploads may keep
// a request waiting for a while after its last byte.
const PATIENCE_MS = 120_000;

// The connection broke: nobody knows whether the request arrived.
export class ConnectionLost extends Error {}

// The service answered with a problem (RFC 9457).
export class Refused extends Error {
  constructor(status, problem, retryAfterSeconds) {
    super(problem.detail || `The service answered with the status ${status}.`);
    this.status = status;
    this.code = problem.code || "";
    this.retryAfterSeconds = retryAfterSeconds; // null when asking again does not help
  }
}

// Post a form; resolve to the answer. `onProgress` is told which share of the body has been sent, from 0 to 1.
// `signal` is an AbortSignal: the promise then rejects with its reason.
export function post(url, form, { csrfToken, onProgress, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much of a body is sent
    let timer;
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => request.abort(), PATIENCE_MS);
    };
    const abort = () => request.abort();
    request.open("POST", url);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", csrfToken);
    request.upload.addEventListener("progress", (event) => {
      wait();
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300 && request.response) {
        resolve(request.response);
      } else {
        reject(new Refused(request.status, request.response || {}, retryAfterOf(request)));
      }
    });
    request.addEventListener("error", () => reject(new ConnectionLost()));
    request.addEventListener("abort", () => reject(signal.aborted ? signal.reason : new ConnectionLost()));
    request.addEventListener("loadend", () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    });
    signal.addEventListener("abort", abort);
    wait();
    request.send(form);
  });
}

function retryAfterOf(request) {
  const seconds = parseInt(request.getResponseHeader("Retry-After"), 10);
  return Number.isNaN(seconds) ? null : seconds;
}
