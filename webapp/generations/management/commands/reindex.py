"""`manage.py reindex`: change the model or the index without stopping the search."""

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import TypeAdapter, ValidationError

from webapp.gallery.command_support import gallery_named
from webapp.generations import overview, selectors, services
from webapp.generations.gates import GATES
from webapp.generations.models import LIVE_STATES, Generation, Trial
from webapp.generations.overview import Overview
from webapp.generations.schemas import CheckOut, generation_out
from webapp.generations.searched import trials
from webapp.http.commands import command_actor, expected_failures
from webapp.http.pages import photos_text
from webapp.http.schemas import IndexParameters, PhotosPerSecond, RowNumber, argument
from webapp.http.wording.durations import time_left
from webapp.indexing import consistency

#: How often `status --watch` looks, in seconds.
WATCH_SECONDS = 2.0
#: Characters of a fingerprint that are shown.
FINGERPRINT_SHOWN = 12

State = Generation.State


class Command(BaseCommand):
    help = (
        "Build a generation with another pack or index beside the active one, and switch to it. It is not searched "
        "before `activate`, for which its gates must be open; `rollback` goes back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        start = actions.add_parser("start", help="build a generation, or index a gallery's photos again")
        _start_arguments(start)
        status = actions.add_parser("status", help="show every live generation (the default)")
        status.add_argument("--watch", action="store_true", help="repeat until none is being built")
        pause = actions.add_parser("pause", help="send no more photos to a generation")
        resume = actions.add_parser("resume", help="resume sending photos to a generation")
        activate = actions.add_parser("activate", help="make a generation the active one")
        rollback = actions.add_parser("rollback", help="return to the previously active generation")
        drop = actions.add_parser("drop", help="drop a generation and its collection (not the active one)")
        rate = actions.add_parser("rate", help="limit the photos per second of a generation")
        rate.add_argument(
            "rate_limit", metavar="N|auto", type=_rate, help="photos per second, or auto (slows down when searches do)"
        )
        setting = actions.add_parser("set", help="change a generation's search parameters, if the new ones find enough")
        _set_arguments(setting)
        drop.add_argument("number", metavar="NUMBER", type=_number)
        check = actions.add_parser("check", help="compare a generation's collection with the database")
        check.add_argument("number", metavar="NUMBER", type=_number)
        check.add_argument("--repair", action="store_true", help="repair the differences")
        check.add_argument("--wait", action="store_true", help="wait until it is done, and show the differences")
        for action in (pause, resume, activate, rate):
            action.add_argument(
                "number",
                metavar="NUMBER",
                type=_number,
                nargs="?",
                help="by default the one that is being built",
            )
        for action in (activate, rollback):
            action.add_argument(
                "--override",
                metavar="GATE",
                nargs="+",
                default=[],
                help=f"switch although these gates are closed ({', '.join(GATES)}); written to the audit log",
            )
        for action in (start, status, pause, resume, activate, rollback, drop, rate, check, setting):
            # Suppressed, so that `reindex --json status` means the same as `reindex status --json`.
            action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = command_actor()
        self._as_json = options["json"]
        with expected_failures():
            match options["action"]:
                case "start" if options["gallery"]:
                    self._rebuild(actor, options)
                case "start":
                    self._start(actor, options)
                case "pause" | "resume" as action:
                    generation = _chosen(options["number"])
                    services.generation_pause(generation=generation, actor=actor, is_paused=action == "pause")
                    self._done(generation, f"{_name(generation)} is {'paused' if action == 'pause' else 'resumed'}.")
                case "rate":
                    generation = _chosen(options["number"])
                    services.rate_set(generation=generation, actor=actor, rate_limit=options["rate_limit"])
                    self._done(generation, f"{_name(generation)}: {_rate_text(options['rate_limit'])}.")
                case "activate":
                    generation = _chosen(options["number"])
                    services.generation_activate(generation=generation, actor=actor, override=options["override"])
                    self._done(generation, f"{_name(generation)} is searched now; `reindex rollback` goes back.")
                case "rollback":
                    generation = services.generation_rollback(actor=actor, override=options["override"])
                    self._done(generation, f"{_name(generation)} is searched again.")
                case "set":
                    self._set(actor, options)
                case "drop":
                    self._drop(actor, options["number"])
                case "check":
                    self._check(actor, options)
                case _:
                    self._status(is_watching=options.get("watch", False))

    def _start(self, actor: str, options: dict[str, Any]) -> None:
        names = ("pack", "index_type", "metric_type", "index_params", "search_params", "rate_limit")
        generation = services.generation_start(actor=actor, **{name: options[name] for name in names})
        shown = overview.overview(generation)
        follow = "Follow it with `python manage.py reindex status --watch`, then `python manage.py reindex activate`."
        self._done(
            generation, f"{_name(generation)} is being built in {generation.collection}.\n{_next(shown)}{follow}"
        )

    def _rebuild(self, actor: str, options: dict[str, Any]) -> None:
        if any(
            options[name]
            for name in ("pack", "index_type", "metric_type", "index_params", "search_params", "rate_limit")
        ):
            raise CommandError(
                "--gallery indexes again in the active generation; do not combine it with another pack or index."
            )
        gallery = gallery_named(options["gallery"], options["owner"])
        count = services.gallery_rebuild(actor=actor, gallery=gallery)
        if self._as_json:
            self._dump({"gallery_id": str(gallery.id), "photos": count})
        else:
            waits = _next(overview.overview(selectors.active_generation()))
            self.stdout.write(f"{photos_text(count)} of {gallery.name} will be indexed again.\n{waits}".rstrip())

    def _drop(self, actor: str, number: int) -> None:
        warning = services.generation_drop(generation=overview.generation_numbered(number), actor=actor)
        if self._as_json:
            self._dump({"number": number, "warning": warning})
        else:
            self.stdout.write(f"Generation {number} is being dropped. {warning}".rstrip())

    def _set(self, actor: str, options: dict[str, Any]) -> None:
        if options["index_params"] is not None:
            raise CommandError(
                "Index parameters of an existing collection cannot be changed: `python manage.py reindex start "
                "--index-params ...` builds another one beside it."
            )
        number, params = options["number"], options["search_params"]
        if params is None:
            raise CommandError("Give the parameters: --search-params JSON.")
        generation = selectors.active_generation() if number is None else overview.generation_numbered(number)
        trials.search_params_set(
            generation=generation, actor=actor, search_params=params, is_confirmed=options["confirm"]
        )
        if options["wait"] and (missing := _next(overview.overview(generation))):
            self.stderr.write(missing.rstrip())
        while True:
            trial = trials.trial_summary(generation)
            if not Generation.objects.filter(pk=generation.pk).exists():
                raise CommandError(f"{_name(generation)} was dropped.")
            if trial is None or trial["state"] != Trial.State.RUNNING or not options["wait"]:
                break
            time.sleep(WATCH_SECONDS)
        sentence = trial["detail"] if trial else "Its gates are measured again."
        self._done(generation, f"{_name(generation)}: {sentence}")
        if options["wait"] and trial and trial["state"] == Trial.State.UNDONE:
            raise CommandError("The previous search parameters are in use again; --confirm keeps the new ones.")

    def _check(self, actor: str, options: dict[str, Any]) -> None:
        generation = overview.generation_numbered(options["number"])
        consistency.check_start(generation=generation, actor=actor, is_repair=options["repair"])
        while True:
            summary = overview.check_summary(generation)
            if summary is None:
                raise CommandError(f"{_name(generation)} was dropped.")
            found = CheckOut.model_validate(summary)
            if found.is_finished or not options["wait"]:
                break
            time.sleep(WATCH_SECONDS)
        if self._as_json:
            self._dump(found.model_dump(mode="json"))
        else:
            self.stdout.write(f"{_name(generation)}: {_check_text(found)}")

    def _status(self, *, is_watching: bool) -> None:
        while True:
            selectors.active_generation()  # made when it is first asked for
            live = [each for each in overview.overviews() if each.generation.state in LIVE_STATES]
            if self._as_json:
                self._dump([generation_out(each).model_dump(mode="json") for each in live])
            else:
                self.stdout.write("\n".join(_lines(live)))
            if not is_watching or not any(each.generation.state == State.BUILDING for each in live):
                return
            self.stdout.flush()
            time.sleep(WATCH_SECONDS)

    def _done(self, generation: Generation, sentence: str) -> None:
        if self._as_json:
            found = overview.overview(overview.generation_numbered(generation.pk))
            self._dump(generation_out(found).model_dump(mode="json"))
        else:
            self.stdout.write(sentence)

    def _dump(self, value: Any) -> None:
        self.stdout.write(json.dumps(value))


def _start_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pack", metavar="NAME", default="", help="another pack; by default the active one")
    parser.add_argument("--index-type", metavar="T", default="", help="such as HNSW; by default the pack's own")
    parser.add_argument("--metric-type", metavar="M", default="", help="COSINE, IP or L2")
    parser.add_argument("--index-params", metavar="JSON", type=_parameters, default={}, help='such as {"nlist": 1024}')
    parser.add_argument("--search-params", metavar="JSON", type=_parameters, default={}, help='such as {"nprobe": 512}')
    parser.add_argument(
        "--rate",
        dest="rate_limit",
        metavar="N",
        type=_rate,
        help="most photos per second (by default, it slows down when searches do)",
    )
    parser.add_argument("--gallery", metavar="NAME", help="only index this gallery's photos again")
    parser.add_argument("--owner", metavar="USER", help="the gallery's owner, if several users have one of that name")


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", metavar="NUMBER", type=_number, nargs="?", help="by default the active one")
    parser.add_argument(
        "--search-params", metavar="JSON", type=_parameters, help='such as {"nprobe": 512}; {}: defaults'
    )
    parser.add_argument("--index-params", metavar="JSON", type=_parameters, help=argparse.SUPPRESS)
    parser.add_argument("--confirm", action="store_true", help="keep them even if they find fewer matches")
    parser.add_argument(
        "--wait", action="store_true", help="wait until the match recall is measured, and show the result"
    )


def _chosen(number: int | None) -> Generation:
    """Return the generation of that number, or the one that is being built."""
    if number is not None:
        return overview.generation_numbered(number)
    building = Generation.objects.filter(state__in=(State.BUILDING, State.READY), is_dropping=False).first()
    if building is None:
        raise CommandError("No generation is being built; give a number (`python manage.py reindex status`).")
    return building


def _lines(live: Sequence[Overview]) -> list[str]:
    return [line for each in live for line in _generation_lines(each)]


def _generation_lines(shown: Overview) -> list[str]:
    generation, progress = shown.generation, shown.progress
    marks = [generation.state, *(["paused"] if generation.is_paused else [])]
    marks += ["being dropped"] if generation.is_dropping else []
    fingerprint = generation.fingerprint[:FINGERPRINT_SHOWN] or "unknown until a worker of the pack runs"
    parameters = {**generation.index_params, **generation.search_params}
    index = " ".join([generation.index_type or "by default", *(f"{key}={value}" for key, value in parameters.items())])
    lines = [
        f"Generation {generation.pk}: {', '.join(marks)}",
        f"  pack {generation.pack} ({fingerprint}), collection {generation.collection}, index {index}",
        f"  {progress.done} of {progress.total} photos done: {progress.indexed} indexed, {progress.no_faces} no faces, "
        f"{progress.failed} failed; {_rate_text(generation.rate_limit, generation.chosen_rate)}{_speed(shown)}",
        "  workers: " + ", ".join(f"{queue} {count or 'none'}" for queue, count in shown.workers.workers.items()),
    ]
    if shown.trial:
        lines.append(f"  search parameters: {shown.trial['detail']}")
    if generation.match_recall is not None:
        lines.append(f"  searches find {generation.match_recall:.2%} of the matches that exact search finds")
    if shown.check:
        lines.append(f"  {_check_text(CheckOut.model_validate(shown.check))}")
    return lines + [
        f"  gate {gate.name} is {'open' if gate.is_open else 'CLOSED'}: {gate.detail}" for gate in shown.gates
    ]


def _check_text(check: CheckOut) -> str:
    state = "compared with the database" if check.is_finished else "being compared with the database"
    counts = f"{check.missing_count} missing, {check.orphaned_count} orphaned, {check.duplicated_count} duplicated"
    mended = ", to be repaired" if check.is_repair and not check.is_consistent else ""
    shown = [
        f"{kind} {', '.join(map(str, getattr(check, kind)))}"
        for kind in ("missing", "orphaned", "duplicated")
        if getattr(check, kind)
    ]
    return "; ".join([f"{state}: {check.face_count} faces, {counts}{mended}", *shown])


def _speed(shown: Overview) -> str:
    rate = f"; {shown.rate:.1f} photos per second now" if shown.rate else ""
    left = time_left(shown.seconds_left)
    return f"{rate}, {left}" if left else rate


def _next(shown: Overview) -> str:
    """Say which workers have to be started; "" when all are there."""
    if not shown.workers.missing:
        return ""
    pack = shown.generation.pack
    return f"No worker consumes {', '.join(shown.workers.missing)} yet: run `python manage.py workers {pack}`.\n"


def _name(generation: Generation) -> str:
    return f"Generation {generation.pk} ({generation.pack})"


def _rate_text(rate_limit: float | None, chosen_rate: float | None = None) -> str:
    if rate_limit is not None:
        return f"at most {rate_limit:g} photos per second"
    found = f", lately {chosen_rate:.1f}" if chosen_rate is not None else ""
    return f"as fast as searches allow{found}"


_number = argument(RowNumber)


def _rate(text: str) -> float | None:
    if text == "auto":
        return None
    rate: float = argument(PhotosPerSecond)(text)
    return rate


def _parameters(text: str) -> dict[str, int]:
    try:
        return TypeAdapter(IndexParameters).validate_json(text, strict=True)
    except ValidationError:
        allowed = 'must be a JSON object of whole numbers, such as {"nlist": 1024}'
        raise argparse.ArgumentTypeError(allowed) from None
