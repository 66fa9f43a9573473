"""The visitors of the load benchmark: a few people open pages at a steady rate, and each page is timed.

benchmarks/load.py runs this in a separate process, so that the load of the thousand users on theirs does not affect the
measurement. `python -m benchmarks.load_pages PLAN SECONDS` prints a JSON object per page.
"""

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

VISITORS = 5
#: Between the pages of one visitor.
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = 30.0


def main() -> None:
    plan, seconds = json.loads(Path(sys.argv[1]).read_text()), float(sys.argv[2])
    pages: list[dict[str, Any]] = []
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=_visit, args=(plan, number, end, pages)) for number in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for page in pages:
        print(json.dumps(page))


def _visit(plan: dict[str, Any], number: int, end: float, pages: list[dict[str, Any]]) -> None:
    address = urlsplit(plan["url"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_SECONDS)
    time.sleep(PAUSE_SECONDS * number / VISITORS)  # the visitors take turns
    turn = number
    while time.monotonic() < end:
        turn += 1
        path = plan["pages"][turn % len(plan["pages"])]
        started, begun = time.time(), time.perf_counter()
        try:
            connection.request("GET", path, headers={"Cookie": plan["cookie"]})
            answer = connection.getresponse()
            answer.read()
            error = "" if answer.status == 200 else f"{path}: {answer.status}"
        except (OSError, http.client.HTTPException) as problem:
            error = f"{path}: {problem!r}"
            connection.close()
        pages.append({"at": started, "ms": (time.perf_counter() - begun) * 1000, "path": path, "error": error})
        time.sleep(max(0.0, PAUSE_SECONDS - (time.perf_counter() - begun)))
    connection.close()


if __name__ == "__main__":
    main()
