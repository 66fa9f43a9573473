"""The users of the load benchmark, for locust: each searches, and retries when the service says so.

benchmarks/load.py runs this in a separate process, because gevent patches Python's sockets for everything in it. When
the run ends, the answer to each search is written to the file that LOAD_FILE names, one JSON object per line.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

from benchmarks.load_report import PENDING, REFUSED, kind_of_answer

BOUNDARY = "a-boundary-that-no-picture-holds"
#: Longer than the service may hold a search.
TIMEOUT_SECONDS = 90.0

_plan = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
_queries = [(name, Path(file).read_bytes()) for name, file in _plan["queries"].items()]
_turns = itertools.count()
_answers: list[dict[str, Any]] = []


class Searcher(FastHttpUser):
    """A user: searches again as soon as an answer arrives, or after Retry-After if refused."""

    connection_timeout = network_timeout = TIMEOUT_SECONDS
    default_headers = {"Cookie": _plan["cookie"], "X-CSRFToken": _plan["csrf_token"]}

    @task
    def search(self) -> None:
        turn = next(_turns)
        expected, picture = _queries[turn % len(_queries)]
        started = time.time()
        # A different image each time, so that no answer comes from the cache.
        answer = self.client.post(
            f"/api/v1/galleries/{_plan['gallery']}/searches?wait=30",
            data=_form(picture + str(turn).encode()),
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        kind = self._note(answer, expected, started)
        while kind == PENDING:
            answer = self.client.get(f"/api/v1/searches/{answer.json()['ticket']}?wait=30", name="poll")
            kind = self._note(answer, expected, started)
        if kind == REFUSED:
            time.sleep(float(answer.headers["Retry-After"]))

    def _note(self, answer: Any, expected: str, started: float) -> str:
        if answer.status_code == 0:
            kind = f"no answer: {type(answer.error).__name__}"
        else:
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else None
            kind = kind_of_answer(answer.status_code, answer.headers, body, expected=expected)
        _answers.append({"at": started, "seconds": time.time() - started, "kind": kind})
        return kind


def _form(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


@events.quitting.add_listener
def _write(**_: Any) -> None:
    Path(os.environ["LOAD_FILE"]).write_text("".join(json.dumps(each) + "\n" for each in _answers))
