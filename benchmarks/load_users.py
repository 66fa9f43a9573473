"""The users of the load benchmark, for locust: each searches, and comes again when it was told to.

Run by benchmarks/load.py, in a process of its own: gevent changes Python's sockets under everything in it. What each
search was told is written to the file that LOAD_FILE names, a JSON object for each line, when the run ends.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, events, task

from benchmarks.load_report import GOES_ON, REFUSED, kind_of_answer

BOUNDARY = "a-boundary-that-no-picture-holds"
#: Longer than the service may hold a search.
TIMEOUT_SECONDS = 90.0

_plan = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
_queries = [(name, Path(file).read_bytes()) for name, file in _plan["queries"].items()]
_turns = itertools.count()
_told: list[dict[str, Any]] = []


class Searcher(FastHttpUser):
    """One person: searches again as soon as the answer is there, and after Retry-After when there is none."""

    connection_timeout = network_timeout = TIMEOUT_SECONDS
    default_headers = {"Cookie": _plan["cookie"], "X-CSRFToken": _plan["csrf_token"]}

    @task
    def search(self) -> None:
        turn = next(_turns)
        expected, picture = _queries[turn % len(_queries)]
        started = time.time()
        # Another picture each time, so that no cached answer takes the work away.
        answer = self.client.post(
            f"/api/v1/galleries/{_plan['gallery']}/searches?wait=30",
            data=_form(picture + str(turn).encode()),
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
        )
        kind = self._note(answer, expected, started)
        while kind == GOES_ON:
            answer = self.client.get(f"/api/v1/searches/{answer.json()['job']}?wait=30", name="poll")
            kind = self._note(answer, expected, started)
        if kind == REFUSED:
            time.sleep(float(answer.headers["Retry-After"]))

    def _note(self, answer: Any, expected: str, started: float) -> str:
        if answer.status_code == 0:
            kind = f"no answer: {type(answer.error).__name__}"
        else:
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else None
            kind = kind_of_answer(answer.status_code, answer.headers, body, expected=expected)
        _told.append({"at": started, "seconds": time.time() - started, "kind": kind})
        return kind


def _form(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


@events.quitting.add_listener
def _write(**_: Any) -> None:
    Path(os.environ["LOAD_FILE"]).write_text("".join(json.dumps(each) + "\n" for each in _told))
