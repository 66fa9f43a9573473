"""How well packs recognise people in your photos, and what that costs, beside dlib's own pipelines.

`python -m benchmarks.accuracy --photos DIR|TAR [--pack P ...] [--reference hog] [--reference cnn] [--people A-E ...]
[--limit N] [--json FILE]`. The folders of DIR or TAR are named after the people in their photos. Packs run in the
product's engine. With several `--people` each photo is looked at once and each group reported by itself: tune on one,
report the others.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

import cv2
from tqdm import tqdm

from benchmarks.accuracy.figures import costs, figures
from benchmarks.accuracy.measuring import Measured, measured
from benchmarks.accuracy.photos import Letters, PhotosUnusable, chosen, opened_photos
from benchmarks.accuracy.references import REFERENCES, DlibSystem, ReferenceMissing
from benchmarks.accuracy.report import Group, as_json, as_text
from benchmarks.accuracy.systems import PackSystem, System, name_of_system
from benchmarks.environment import carriers_dir, packs_dir
from worker.config import FaceConfig, ImageLimits
from worker.errors import FaceQueueError

DEFAULT_PACK = FaceConfig(packs_dir=packs_dir()).pack
GALLERIES = (100, 1_000, 10_000)


def main() -> int:
    options = _options()
    cv2.setNumThreads(1)
    try:
        with ExitStack() as stack:
            photos = stack.enter_context(opened_photos(options.photos, max_bytes=ImageLimits().max_bytes))
            photos = chosen(photos, people=options.people, limit=options.limit)
            if not photos:
                raise PhotosUnusable(f"{options.photos} holds no photos of people with these letters.")
            systems = _systems(options, stack)
            found = measured(tqdm(photos, unit="photo", mininterval=2), systems)
            for line in found.unreadable:
                print(f"left out: {line}", file=sys.stderr)
            if not found.people:
                raise PhotosUnusable(f"None of the files in {options.photos} is a picture that can be read.")
            references = [each.name for each in systems if isinstance(each, DlibSystem)]
            groups = [_group(found, letters, references) for letters in options.people or [None]]
            spent = costs(found.results, references=references)
    except (FaceQueueError, PhotosUnusable, ReferenceMissing) as error:
        print(error, file=sys.stderr)
        return 2
    print(as_text(groups, spent))
    if options.json:
        options.json.write_text(as_json(groups, spent, unreadable=len(found.unreadable)) + "\n", encoding="utf-8")
    return 0


def _systems(options: argparse.Namespace, stack: ExitStack) -> list[System]:
    systems: list[System] = []
    for pack in options.pack:
        systems.append(PackSystem(pack, packs_dir=options.packs_dir))
        stack.callback(systems[-1].close)
    systems += [DlibSystem(reference, carriers=options.carriers) for reference in options.reference]
    return systems


def _group(found: Measured, letters: Letters | None, references: list[str]) -> Group:
    rows = [row for row, person in enumerate(found.people) if letters is None or letters.include(person)]
    results = [each.of_photos(rows) for each in found.results]
    names = [found.people[row] for row in rows]
    return Group(
        people=str(letters or "of all letters"),
        figures=figures(results, names, references=references, galleries=GALLERIES),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="a folder or tar archive of people's folders")
    parser.add_argument(
        "--pack",
        action="append",
        metavar="PACK[,KEY=VALUE...]",
        help=f"its name or folder, and keys of FACE_CONFIG; may be repeated (default {DEFAULT_PACK})",
    )
    parser.add_argument("--reference", action="append", choices=REFERENCES, default=[], help="dlib's; may be repeated")
    parser.add_argument("--people", action="append", type=_letters, default=[], metavar="A-E", help="may be repeated")
    parser.add_argument("--limit", type=_positive, metavar="N", help="look at N photos only, of people drawn whole")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--packs-dir", type=Path, default=packs_dir(), help="default: FACE_PACKS_DIR, else var/packs")
    parser.add_argument(
        "--carriers",
        type=Path,
        default=carriers_dir(),
        help="the folder with the wheel of the references' models (default var/carriers)",
    )
    options = parser.parse_args()
    options.pack = options.pack or [DEFAULT_PACK]
    options.reference = list(dict.fromkeys(options.reference))
    if len({name_of_system(pack) for pack in options.pack}) < len(options.pack):
        parser.error("two of the packs have the same name")
    return options


def _letters(text: str) -> Letters:
    try:
        return Letters.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
