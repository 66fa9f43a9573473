"""What every operation may answer besides its own answers: the problems and the headers that all share."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from ninja.operation import Operation

from webapp.accounts.callers import Scope
from webapp.config.openapi.security import needs_of
from webapp.http.problems import PROBLEM_TYPE, Problem

WRITING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
#: Any request may meet these.
ALWAYS: Final = frozenset({400, 401, 403, 422, 429, 500, 503, 507})
#: Those that write, or have a body, may meet these, too.
WHEN_WRITING: Final = frozenset({408, 409, 412, 413, 415})

#: By status: what it means here, and an example with its code.
PROBLEMS: Final[dict[int, tuple[str, str, str]]] = {
    400: ("The request cannot be read, or asks for what cannot be.", "bad_request", "The body is not valid JSON."),
    401: (
        "Nobody is logged in, or the API key is unknown, revoked or expired. `WWW-Authenticate` says how to log in.",
        "bad_key",
        "This API key is unknown, revoked or expired.",
    ),
    403: (
        "You see this but may not do that: the API key lacks the scope, or your permission level is too low.",
        "scope_missing",
        "This API key lacks the scope “write”.",
    ),
    404: ("There is no such thing, or you may not see it.", "not_found", "There is no such photo."),
    408: ("The body came too slowly.", "body_too_slow", "The request came too slowly."),
    409: (
        "It is not in a state that allows this, or the name is taken.",
        "gallery_exists",
        "You already have a gallery named “Holiday”.",
    ),
    410: (
        "The query image is gone: it waited for too long, or the search was cancelled.",
        "query_image_gone",
        "The picture waited too long and is gone. Please search again.",
    ),
    412: (
        "It has changed since you read it, so the condition of the request does not hold.",
        "precondition_failed",
        "This has changed since you read it.",
    ),
    413: ("The body is too large.", "upload_too_large", "The upload is too large; at most 512 MiB are accepted."),
    415: ("The body has a content type or a charset that this does not take.", "bad_charset", "Please send UTF-8."),
    416: ("The file has no such part.", "range_not_satisfiable", "The file has no such part."),
    422: (
        "A parameter or a field is missing, unknown or has a bad value.",
        "invalid_request",
        "limit: Input should be less than or equal to 1000.",
    ),
    429: ("Too many requests; `Retry-After` says when to return.", "too_many_requests", "Please slow down."),
    500: ("A fault of this service; its log says more.", "internal", "Something went wrong here."),
    503: (
        "The service is busy or a part of it is down; `Retry-After` says when to return.",
        "busy",
        "The service is busy. Please try again in a moment.",
    ),
    504: ("No worker answered in time.", "search_expired", "The search took too long."),
    507: ("The disk of the service is full.", "storage_full", "The disk of this service is full."),
}

HEADERS: Final[dict[str, Any]] = {
    "X-Request-ID": {
        "description": "The id of the request, which the service's log lines show. A request may bring its own.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which asking again may help.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "How many requests you have left (`r`), and after how many seconds you have all again (`t`).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "How many requests you may send (`q`) in how many seconds (`w`).",
        "schema": {"type": "string"},
    },
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
    "ETag": {"description": "Names this state of the resource.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` if this is the answer to an earlier request with the same `Idempotency-Key`.",
        "schema": {"type": "string"},
    },
    "Location": {"description": "Where to ask for the answer.", "schema": {"type": "string"}},
}
#: Server-sent events. The schema of a stream is that of each event, which is how tools check one.
EVENT_STREAM: Final = "text/event-stream"
EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
    "required": ["data"],
}
#: On every answer. Without a limit of requests (`REQUESTS_PER_SECOND=0`) there are no RateLimit headers.
ALWAYS_SENT: Final = ("RateLimit", "RateLimit-Policy", "X-Request-ID")
#: On some problems: those that pass say when to ask again.
SENT_WITH: Final = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
    504: ("Retry-After",),
}


#: One ETag or several, or `*` (RFC 9110 section 8.8.3).
ETAGS: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$',
    "examples": ['"9f86d081884c7d659a2feaa0c55ad015"'],
}
#: What a request may bring, by the methods that know it.
REQUEST_HEADERS: Final[tuple[tuple[frozenset[str], dict[str, Any]], ...]] = (
    (
        frozenset({"GET"}),
        {
            "name": "If-None-Match",
            "description": "An `ETag`: the answer is 304, without a body, while nothing has changed.",
            "schema": ETAGS,
        },
    ),
    (
        WRITING - {"POST"},
        {
            "name": "If-Match",
            "description": "An `ETag`: the request is refused with 412 if this has changed meanwhile.",
            "schema": ETAGS,
        },
    ),
    (
        WRITING,
        {
            "name": "Idempotency-Key",
            "description": "A text of your choice. A request that is sent again with the same key is carried out once, "
            "and gets the first answer again.",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["upload-2026-01-31-17"]},
        },
    ),
)


def request_headers(operation: Operation) -> list[dict[str, Any]]:
    """Return the headers that a request may bring, as parameters."""
    return [
        {"in": "header", "required": False, **parameter}
        for methods, parameter in REQUEST_HEADERS
        if methods.intersection(operation.methods) and not _only_searches(operation, parameter["name"])
    ]


def _only_searches(operation: Operation, header: str) -> bool:
    """Tell whether an operation writes nothing, whatever its method, so that to repeat it is no question."""
    return header == "Idempotency-Key" and needs_of(operation).scope == Scope.SEARCH


def completed(operation: Operation, described: dict[int, Any]) -> dict[int, Any]:
    """Return all answers of an operation by status: those that ninja describes, with what all operations share."""
    is_reading = "GET" in operation.methods
    found = {}
    for status, answer in described.items():
        if status < 400:
            names = ["ETag"] if is_reading else ["Idempotent-Replayed"]
            if EVENT_STREAM in answer.get("content", {}):
                answer = {**answer, "content": {EVENT_STREAM: {"schema": EVENT}}}
            found[status] = with_headers(answer, *names, *(["Location"] if status in (201, 202) else []))
    if is_reading:
        found[304] = with_headers({"description": "Nothing has changed."}, "ETag")
    problems = {status for status in described if status >= 400} | usual_problems(operation)
    found |= {status: reference(status) for status in problems}
    return dict(sorted(found.items()))


def usual_problems(operation: Operation) -> set[int]:
    """Return the statuses of the problems that an operation may meet because of what it is."""
    statuses = set(ALWAYS)
    if "{" in operation.path or needs_of(operation).permission is not None:
        statuses.add(404)
    if WRITING.intersection(operation.methods):
        statuses |= WHEN_WRITING
    return statuses


def reference(status: int) -> dict[str, str]:
    """Return what stands for the problem in an operation."""
    return {"$ref": f"#/components/responses/{_name(status)}"}


def problem_responses(statuses: Collection[int]) -> dict[str, Any]:
    """Return the problems among these statuses, each described once for all operations."""
    return {_name(status): _problem_response(status) for status in sorted(statuses) if status >= 400}


def with_headers(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the answer with the headers of these names and those of every answer."""
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in (*ALWAYS_SENT, *names)}
    return {**answer, "headers": {**answer.get("headers", {}), **headers}}


def _problem_response(status: int) -> dict[str, Any]:
    description, code, detail = PROBLEMS[status]
    content = {
        "schema": {"$ref": "#/components/schemas/ProblemOut"},
        "example": Problem(code, detail, status=status).as_json(),
    }
    response = {"description": description, "content": {PROBLEM_TYPE: content}}
    return with_headers(response, *SENT_WITH.get(status, ()))


def _name(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")
