"""FACE_CONFIG: which face model runs, on what hardware, and which images and faces are accepted.

`worker/vector_search/config.py` has the dictionaries of the vector store.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

from worker.settings import Check, Flag, Folder, Settings, Share, choice, whole

#: Pillow refuses images of more than twice its own MAX_IMAGE_PIXELS; a higher limit here would have no effect.
LARGEST_MAX_IMAGE_PIXELS = 178_000_000
#: By default pictures may take so many bytes per pixel of the largest photo: what one in AVIF takes (images/cost.py).
DEFAULT_BYTES_PER_PIXEL = 17
#: The largest query image by default: somebody waits for the answer.
MAX_QUERY_PIXELS = 40_000_000
#: How cuDNN may search for a convolution's algorithm: `cudnn_conv_algo_search` of onnxruntime's CUDA provider.
CONVOLUTION_SEARCHES = ("HEURISTIC", "EXHAUSTIVE", "DEFAULT")

#: For every detector we know, a detection with a lower score is noise.
_FAINTEST_SCORE = 0.3

#: It is part of the names of queues, which Celery separates by commas, and of collections, for which Milvus takes only
#: ASCII letters.
PACK_NAME_RULE = "1 to 100 letters (A to Z), digits, dots, dashes and underscores, the first a letter or a digit"
_PACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_pack_name(name: str) -> bool:
    return bool(_PACK_NAME.fullmatch(name))


def bad_pack_name(name: str) -> str:
    """Say in one sentence that no pack can have this name."""
    return f"{name!r} cannot be a pack: its name must be {PACK_NAME_RULE}."


_PACK = Check(
    f"the name of a pack or the path of its folder, whose name has {PACK_NAME_RULE}",
    lambda value: isinstance(value, str) and is_pack_name(Path(value).name),
)
_PROVIDERS = Check(
    "a list of one or more execution providers of onnxruntime",
    lambda value: isinstance(value, list | tuple) and bool(value) and all(isinstance(n, str) and n for n in value),
    tuple,
)


def usable_cores() -> int:
    """Return how many processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_threads() -> int:
    # One more than there are cores, because some threads wait for a model; and 16 threads decode faster than one GPU
    # can detect.
    return min(usable_cores() + 1, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """The largest image that is decoded: the file, its pixels, and the memory that decoding it takes."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_decoded_bytes: int = 100_000_000 * DEFAULT_BYTES_PER_PIXEL


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig(Settings):
    """How faces are detected and embedded.

    `pack` is the name of a known pack, the name of a folder in `packs_dir`, or the absolute path of a folder.

    `providers` are onnxruntime's execution providers, best first. All of them must be active, unless
    `allow_provider_fallback` is set. Up to `runs_at_once` model runs of `threads_per_run` threads each go on at the
    same time; None leaves the number to the provider (see providers.py), and on the CPU lets a run use all cores when
    it is the only one. A call is refused as `busy` when `max_waiting` items are ahead of it; a large call from
    elsewhere counts as at most one run's items. Where one picture has many items, such as a detector's candidates, as
    many times more may wait. `repair_graphs` lets a pack's graphs be rewritten so that they run faster with the same
    result.

    A face is rejected below `min_face_score` (the detector's score, 0..1; None: the pack's own), `min_face_pixels` (the
    shorter side of its box) or `min_face_quality` (0..1).

    `smallest_face_pixels` is the side of the smallest faces that the detector looks for, and a picture whose longer
    side is over `longest_side_pixels` is reduced to it first; None: the pack's own. Only the detector of the dlib packs
    has these settings; the others look at every picture in one size.

    Photos of up to `max_image_pixels` are indexed, and queries of up to `max_query_pixels` are searched for, because
    somebody waits for those. Photos are decoded by `decode_threads` threads, each of which holds one picture. All
    threads of a process together take at most `max_decoded_bytes` for pictures, and a picture that takes more is
    refused; None: as much as the largest photo takes as AVIF. See `most_picture_bytes`.
    `reduced_decoding` reads large JPEGs at a fraction of their size where that is enough.
    """

    dictionary: ClassVar[str] = "FACE_CONFIG"

    packs_dir: Folder
    pack: Annotated[str, _PACK] = "dlib"
    providers: Annotated[tuple[str, ...], _PROVIDERS] = ("CPUExecutionProvider",)
    allow_provider_fallback: Flag = False
    runs_at_once: Annotated[int | None, whole(1, 64)] = None
    threads_per_run: Annotated[int | None, whole(1, 256)] = None
    max_waiting: Annotated[int, whole(1, 1_000_000)] = 128
    arena: Flag = True
    spinning: Flag = False
    convolution_search: Annotated[str, choice(CONVOLUTION_SEARCHES)] = "HEURISTIC"
    fp16: Flag = False
    engine_cache_dir: Folder | None = None
    repair_graphs: Flag = True
    max_image_bytes: Annotated[int, whole(1, 2**31)] = ImageLimits().max_bytes
    max_image_pixels: Annotated[int, whole(1, LARGEST_MAX_IMAGE_PIXELS)] = ImageLimits().max_pixels
    max_query_pixels: Annotated[int, whole(1, LARGEST_MAX_IMAGE_PIXELS)] = MAX_QUERY_PIXELS
    max_decoded_bytes: Annotated[int | None, whole(1, 10**12)] = None
    reduced_decoding: Flag = False
    decode_threads: Annotated[int, whole(1, 256)] = field(default_factory=_decode_threads)
    min_face_score: Share | None = None
    min_face_pixels: Annotated[int, whole(0, 10_000)] = 0
    min_face_quality: Share = 0.0
    smallest_face_pixels: Annotated[int | None, whole(12, 10_000)] = None
    longest_side_pixels: Annotated[int | None, whole(64, 20_000)] = None

    @property
    def most_picture_bytes(self) -> int:
        """The most memory that a process takes to decode pictures and look for faces in them, whatever they are."""
        if self.max_decoded_bytes is not None:
            return self.max_decoded_bytes
        return self.max_image_pixels * DEFAULT_BYTES_PER_PIXEL

    @property
    def image_limits(self) -> ImageLimits:
        """Those of photos."""
        return ImageLimits(
            max_bytes=self.max_image_bytes,
            max_pixels=self.max_image_pixels,
            max_decoded_bytes=self.most_picture_bytes,
        )

    @property
    def query_limits(self) -> ImageLimits:
        """Those of query images: no larger than photos may be."""
        limits = self.image_limits
        return replace(limits, max_pixels=min(limits.max_pixels, self.max_query_pixels))

    @property
    def faintest_score(self) -> float:
        """The score from which detectors return faces.

        Low enough to include the faces that are then rejected for their score, but not all the noise below them.
        """
        return min(self.least_face_score(_FAINTEST_SCORE), _FAINTEST_SCORE)

    def least_face_score(self, of_pack: float) -> float:
        """Return the score (0..1) from which a detection is a face: the one set here, else that of the pack."""
        return of_pack if self.min_face_score is None else self.min_face_score
