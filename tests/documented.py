"""The examples of a page of the documentation: run in their order, as a reader would, and compared with what it shows.

A block of `bash` is run; a block of `json` or `http` after it shows what it prints. What differs from run to run (ids,
times, tokens, measured numbers) is compared by its kind only.
"""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Printed after each step; no example prints it.
_END: Final = "---- end of step ----"

#: What differs from run to run, by kind.
_KINDS: Final = {
    "an id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "a time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"),
    "a token": re.compile(r"[\w:.=-]{24,}"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One example: what is run, and what it is said to print; `kind` is the language of the second block."""

    line: int
    command: str
    kind: str = ""
    shown: str = ""


def steps_of(page: str) -> list[Step]:
    """Return the examples of a page of Markdown."""
    steps: list[Step] = []
    for match in _FENCE.finditer(page):
        language, text = match.groups()
        line = page.count("\n", 0, match.start()) + 1
        if language == "bash":
            steps.append(Step(line=line, command=text))
        elif language in ("json", "http") and steps and not steps[-1].kind:
            steps[-1] = Step(line=steps[-1].line, command=steps[-1].command, kind=language, shown=text)
    return steps


def run(steps: list[Step], *, folder: Path, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """Run the steps in one shell, in `folder`; return what each has printed, and about one that failed, or "".

    After a step that failed, the others are not run.
    """
    script = "set -euo pipefail\n" + "".join(f"{step.command}\necho '{_END}'\n" for step in steps)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=dict(environment), capture_output=True, text=True, check=False
    )
    *printed, rest = done.stdout.split(_END + "\n")
    if len(printed) == len(steps):
        return printed, ""
    return printed, f"line {steps[len(printed)].line} failed: {rest}\n{done.stderr[-2000:]}"


def differences(step: Step, printed: str) -> list[str]:
    """Return how what was printed differs from what the page shows."""
    if step.kind == "json":
        try:
            actual = json.loads(printed)
        except ValueError:
            return [f"no JSON: {printed!r}"]
        return list(_in_json(json.loads(step.shown), actual, "$"))
    if step.kind == "http":
        return list(_in_head(step.shown, printed))
    return []


def _in_json(shown: Any, actual: Any, place: str) -> Iterator[str]:
    if isinstance(shown, dict) and isinstance(actual, dict):
        if shown.keys() != actual.keys():
            yield f"{place} has {sorted(actual)} instead of {sorted(shown)}"
        for name in shown.keys() & actual.keys():
            yield from _in_json(shown[name], actual[name], f"{place}.{name}")
    elif isinstance(shown, list) and isinstance(actual, list):
        if len(shown) != len(actual):
            yield f"{place} has {len(actual)} items instead of {len(shown)}"
        for number, (one, other) in enumerate(zip(shown, actual, strict=False)):
            yield from _in_json(one, other, f"{place}[{number}]")
    elif not _are_alike(shown, actual):
        yield f"{place} is {actual!r} instead of {shown!r}"


def _are_alike(shown: Any, actual: Any) -> bool:
    if float in (type(shown), type(actual)):
        return {type(shown), type(actual)} <= {int, float}
    if isinstance(shown, str) and isinstance(actual, str):
        return shown == actual or any(kind.fullmatch(shown) and kind.fullmatch(actual) for kind in _KINDS.values())
    return type(shown) is type(actual) and bool(shown == actual)


def _in_head(shown: str, printed: str) -> Iterator[str]:
    """Compare the status, and the headers that the page shows by their names."""
    status, *headers = shown.strip().splitlines()
    got_status, *got_headers = printed.replace("\r", "").strip().splitlines() or ["nothing"]
    if status.split()[1:2] != got_status.split()[1:2]:  # the number
        yield f"{got_status} instead of {status}"
    names = {header.partition(":")[0].lower() for header in got_headers}
    for header in headers:
        if header.partition(":")[0].lower() not in names:
            yield f"no header {header.partition(':')[0]}"
