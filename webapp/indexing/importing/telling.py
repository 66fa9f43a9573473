"""Telling, at the terminal, how far an import is and what became of it."""

import json
import sys
import time
from collections import Counter, defaultdict
from typing import Any, Final

from django.core.management.base import OutputWrapper
from tqdm import tqdm

from webapp.gallery.models import Photo
from webapp.indexing.importing.account import ImportAccount, Line
from webapp.indexing.importing.folders import HIDDEN, Result

#: How often a line says how far it is, where there is no terminal to draw a bar on.
LINE_SECONDS: Final = 10.0
#: The most items that are listed of each kind.
ITEMS_SHOWN: Final = 10


FAILED, REFUSED, LEFT_OUT, DUPLICATES = "Failed", "Refused", "Left out", "Already there under another name"
SKIPPED, SKIPPED_HIDDEN = "Skipped, no pictures", "Skipped, hidden"
_TITLES: Final = (FAILED, REFUSED, LEFT_OUT, DUPLICATES, SKIPPED, SKIPPED_HIDDEN)


class Progress:
    """A context manager: how far it is, as a bar on a terminal, and else a line now and then if it `has_lines`.

    `total` None: nobody knows yet.
    """

    def __init__(self, stream: OutputWrapper, title: str, *, total: int | None = None, has_lines: bool = False) -> None:
        is_terminal = stream.isatty()
        self._stream, self._has_lines, self._told_at = stream, has_lines and not is_terminal, time.monotonic()
        # To the terminal itself: `stream` would end each state of the bar with a new line.
        self._bar: tqdm[Any] = tqdm(
            total=total, desc=title, unit="photo", file=sys.stderr, disable=not is_terminal, leave=False
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def is_at(self, count: int, sentence: str, *, note: str = "") -> None:
        """So many are done; `sentence` says so in a line, and `note` what the bar does not show."""
        self._bar.update(count - self._bar.n)
        self._bar.set_postfix_str(note)
        if self._has_lines and time.monotonic() - self._told_at >= LINE_SECONDS:
            self._told_at = time.monotonic()
            self._stream.write(sentence)
            self._stream.flush()


def summary_write_json(stdout: OutputWrapper, about: Line, account: ImportAccount) -> Counter[str]:
    """Write one JSON object in ASCII: all items, a line each, then `about` and the counts.

    Return how many photos are in which state.
    """
    outcomes = Counter(dict.fromkeys(Photo.State.values, 0))
    stdout.write('{"items": [', ending="")
    before = "\n"
    for line in account.lines():
        outcomes.update(_state_of(line))
        stdout.write(before + json.dumps(line), ending="")
        before = ",\n"
    rest = json.dumps(about | _counted(account) | {"outcomes": outcomes})
    stdout.write(f"\n], {rest[1:]}")
    return outcomes


def summary_write(stdout: OutputWrapper, about: Line, account: ImportAccount, *, has_all: bool) -> Counter[str]:
    """Write the summary for a person: the counts, and some items of each kind or, with `has_all`, all of them first.

    Return how many photos are in which state.
    """
    outcomes: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for line in account.lines():
        outcomes.update(_state_of(line))
        if has_all:
            stdout.write(f"{line['result']:<13}  {_described(line)}")
        if title := _title(line):
            sizes[title] += 1
            if len(groups[title]) < ITEMS_SHOWN:
                groups[title].append(_described(line))
    counted = _counted(account)
    stdout.write(f"Gallery {about['gallery']}: {counted['added']} added, {counted['already_there']} already there.")
    if about["job_id"]:
        stdout.write(f"Job {about['job_id']}; `manage.py jobs show` follows it.")
    if outcomes:
        stdout.write(
            "Now: " + ", ".join(f"{outcomes[state]} {state}" for state in Photo.State.values if outcomes[state]) + "."
        )
    stdout.write(
        f"Not added: {counted['refused']} refused, {counted['left_out']} left out, {counted['skipped']} skipped. "
        f"Folders below: {counted['folder']}."
    )
    for title in () if has_all else _TITLES:
        if sizes[title]:
            stdout.write(f"{title} ({sizes[title]}):")
            for text in groups[title]:
                stdout.write(f"  {text}")
            if sizes[title] > ITEMS_SHOWN:
                stdout.write(f"  and {sizes[title] - ITEMS_SHOWN} more; `--verbosity 2` lists all")
    return outcomes


def _counted(account: ImportAccount) -> dict[str, int]:
    return {result.value: account.counts[result] for result in Result}


def _state_of(line: Line) -> list[str]:
    return [line["state"]] if "state" in line else []


def _title(line: Line) -> str:
    """Return under what the item is listed; "" for what needs no words."""
    if line.get("state") == Photo.State.FAILED:
        return FAILED
    match line["result"]:
        case Result.REFUSED:
            return REFUSED
        case Result.LEFT_OUT:
            return LEFT_OUT
        case Result.SKIPPED:
            return SKIPPED_HIDDEN if line["code"] == HIDDEN.code else SKIPPED
        case Result.ALREADY_THERE if line["existing"] != line["path"]:
            return DUPLICATES
        case _:
            return ""


def _described(line: Line) -> str:
    text = str(line["path"])
    if line["result"] == Result.ALREADY_THERE and line["existing"] != text:
        text += f" is the photo {line['existing']}"
    if line["message"]:
        text += f": {line['message']} ({line['code']})"
    return text
