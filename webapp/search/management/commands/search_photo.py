"""`manage.py search_photo FILE --gallery NAME`: one search through the search queue."""

import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from tasks.dictionaries import face_config
from tasks.messages.search import SearchedFaces, SearchResult
from tasks.web.search_client import open_search_client
from webapp.gallery.command_support import gallery_named
from webapp.gallery.models import Gallery
from webapp.generations.selectors import ActiveTarget
from webapp.http.commands import expected_failures
from webapp.http.schemas import MatchCount, Seconds, Similarity, argument
from webapp.search.schemas import AnswerOut
from webapp.search.selectors import SearchAnswer, search_answer


class Command(BaseCommand):
    help = "Search one or several galleries for the faces of a picture."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument(
            "--gallery",
            metavar="NAME",
            dest="galleries",
            action="append",
            required=True,
            help="the name of a gallery; repeat it to search several",
        )
        parser.add_argument(
            "--owner", metavar="USERNAME", help="the galleries' owner, if several users have one of that name"
        )
        parser.add_argument(
            "--limit", metavar="N", type=argument(MatchCount), default=10, help="most matches per face (10)"
        )
        parser.add_argument(
            "--min-similarity",
            metavar="S",
            type=argument(Similarity),
            help="lowest similarity, -1 to 1 (the pack's threshold)",
        )
        parser.add_argument(
            "--faces", choices=get_args(SearchedFaces), default="all", help="which faces of the picture (all)"
        )
        parser.add_argument(
            "--timeout",
            metavar="SECONDS",
            type=argument(Seconds),
            default=settings.SEARCH_TIMEOUT_SECONDS,
            help=f"how long to wait for a worker ({settings.SEARCH_TIMEOUT_SECONDS:g})",
        )
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        image = _read(options["file"])
        with expected_failures():
            galleries = list(dict.fromkeys(gallery_named(name, options["owner"]) for name in options["galleries"]))
            result = asyncio.run(
                _search(
                    image,
                    galleries,
                    limit=options["limit"],
                    min_similarity=options["min_similarity"],
                    faces=options["faces"],
                    timeout_seconds=options["timeout"],
                )
            )
            if result.error is not None:
                raise CommandError(result.error.message)
            answer = search_answer(result, galleries=galleries)
        if options["json"]:
            shown = AnswerOut.from_orm(answer).model_dump(mode="json")
            self.stdout.write(json.dumps(shown))
        else:
            self._print(answer)

    def _print(self, answer: SearchAnswer) -> None:
        if not answer.faces:
            self.stdout.write(answer.reason.message if answer.reason else "No face was found in the picture.")
        for number, face in enumerate(answer.faces, start=1):
            box = f"{face.box.left:.0f}, {face.box.top:.0f}, {face.box.right:.0f}, {face.box.bottom:.0f}"
            self.stdout.write(f"Face {number} at {box} (score {face.score:.2f})")
            if face.reason is not None:
                best = face.reason.best_similarity
                more = "" if best is None else f" The most similar one: {best:.3f}."
                self.stdout.write(f"  {face.reason.message}{more}")
                continue
            self.stdout.write(f"  {'rank':>4}  {'similarity':>10}  photo")
            for rank, match in enumerate(face.matches, start=1):
                whose = f"  {match.person.name}" if match.person else ""
                self.stdout.write(f"  {rank:>4}  {match.similarity:>10.3f}  {match.photo.filename}{whose}")
        if answer.left_out:
            self.stdout.write(f"Not searched for: {answer.left_out}.")


async def _search(
    image: bytes,
    galleries: Sequence[Gallery],
    *,
    limit: int,
    min_similarity: float | None,
    faces: SearchedFaces,
    timeout_seconds: float,
) -> SearchResult:
    async with open_search_client(active_target=ActiveTarget()) as service:
        return await service.search_faces_in_image(
            image,
            gallery_ids=tuple(str(gallery.id) for gallery in galleries),
            limit=limit,
            min_similarity=min_similarity,
            faces=faces,
            timeout_seconds=timeout_seconds,
        )


def _read(path: Path) -> bytes:
    """Return the file's bytes; whether they are a picture is for the worker to say."""
    limit = face_config().max_image_bytes
    try:
        size = path.stat().st_size
        if size > limit:
            raise CommandError(f"“{path}” has {size / 2**20:.1f} MiB; at most {limit / 2**20:.0f} MiB are accepted.")
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"“{path}” cannot be read: {error.strerror}.") from None
