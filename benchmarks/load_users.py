"""The users of the load benchmark, for locust: each searches, and returns when the service says so.

benchmarks/load.py runs this in a separate process, because gevent patches Python's sockets for everything in it.
LOAD_KIND says who searches: `crowd` (every user once at a time), `slots` (as many searches at a time as there are
users, by somebody else each time, so that they are the crowd's), `heavy` (two users, many searches at a time each), or
`flood` (one user who does not wait as asked, and one who searches once a second). When the run ends, the answer to each
search is written to the file that LOAD_FILE names, one JSON object per line.
"""

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant_pacing, events, task

from benchmarks.load_report import CAREFUL, FLOODER, HEAVY, PENDING, REFUSED, kind_of_answer

BOUNDARY = "a-boundary-that-no-picture-holds"
#: Longer than the service may hold a search.
TIMEOUT_SECONDS = 90.0
#: How soon a user who floods asks again.
FLOOD_PAUSE_SECONDS = 0.5

_plan = json.loads(Path(os.environ["LOAD_PLAN"]).read_text())
_kind = os.environ["LOAD_KIND"]
_queries = [(name, Path(file).read_bytes()) for name, file in _plan["queries"].items()]
_turns, _people = itertools.count(), itertools.count()
_answers: list[dict[str, Any]] = []


class _Searcher(FastHttpUser):
    """Searches again as soon as an answer arrives, or after Retry-After if refused."""

    abstract = True
    connection_timeout = network_timeout = TIMEOUT_SECONDS
    person: dict[str, str]
    who = ""

    def after_refusal(self, retry_after_seconds: float) -> None:
        time.sleep(retry_after_seconds)

    def before_search(self) -> None:
        """Nothing: the same person searches again."""

    @task
    def search(self) -> None:
        self.before_search()
        turn = next(_turns)
        expected, picture = _queries[turn % len(_queries)]
        started = time.time()
        mine = {"Cookie": self.person["cookie"], "X-CSRFToken": self.person["csrf_token"]}
        # A different image each time, so that no answer comes from the cache.
        answer = self.client.post(
            f"/api/v1/galleries/{self.person['gallery']}/searches?wait=30",
            data=_form(picture + f"{time.time_ns()} {turn}".encode()),
            headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", **mine},
            name="search",
        )
        kind = self._note(answer, expected, started)
        while kind == PENDING:
            path = f"/api/v1/searches/{answer.json()['ticket']}?wait=30"
            answer = self.client.get(path, headers=mine, name="poll")
            kind = self._note(answer, expected, started)
        if kind == REFUSED:
            self.after_refusal(float(answer.headers["Retry-After"]))

    def _note(self, answer: Any, expected: str, started: float) -> str:
        if answer.status_code == 0:
            kind = f"no answer: {type(answer.error).__name__}"
        else:
            body = answer.json() if "json" in answer.headers.get("Content-Type", "") else None
            kind = kind_of_answer(answer.status_code, answer.headers, body, expected=expected)
        _answers.append({"at": started, "seconds": time.time() - started, "kind": kind, "who": self.who})
        return kind


if _kind == "crowd":

    class Somebody(_Searcher):
        def on_start(self) -> None:
            self.person = _plan["people"][next(_people) % len(_plan["people"])]

elif _kind == "slots":

    class Slot(_Searcher):
        def before_search(self) -> None:
            self.person = _plan["people"][next(_people) % len(_plan["people"])]

elif _kind == "heavy":

    class HeavyUser(_Searcher):
        def on_start(self) -> None:
            number = next(_people) % len(HEAVY)
            self.person, self.who = _plan["people"][number], HEAVY[number]

else:

    class Flooder(_Searcher):
        who = FLOODER
        person = _plan["people"][0]

        def after_refusal(self, retry_after_seconds: float) -> None:
            time.sleep(FLOOD_PAUSE_SECONDS)

    class CarefulUser(_Searcher):
        who = CAREFUL
        person = _plan["people"][1]
        fixed_count = 1
        wait_time = constant_pacing(1)

        def after_refusal(self, retry_after_seconds: float) -> None:
            """Ask again in a second all the same: a refusal is what must not happen."""


def _form(picture: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="query.jpg"\r\n\r\n'
    return head.encode() + picture + f"\r\n--{BOUNDARY}--\r\n".encode()


@events.quitting.add_listener
def _write(**_: Any) -> None:
    Path(os.environ["LOAD_FILE"]).write_text("".join(json.dumps(each) + "\n" for each in _answers))
