"""FACE_CONFIG, checked once and frozen: which face model, on what, and which pictures are taken.

`worker/vector_search/config.py` does the same for the dictionaries of the vector store.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from worker.errors import ConfigError

#: Pillow refuses pictures of more than twice its MAX_IMAGE_PIXELS on its own; a limit above that would not hold.
LARGEST_MAX_IMAGE_PIXELS = 178_000_000


#: Detections below this score are noise to every detector we know.
_FAINTEST_SCORE = 0.3


def usable_cores() -> int:
    """Return how many processor cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode_threads() -> int:
    # One more than cores, for some wait for a model; and 16 decode faster than one GPU can look.
    return min(usable_cores() + 1, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """The largest picture that is decoded."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 40_000_000


#: How cuDNN may look for a convolution's algorithm; see `cudnn_conv_algo_search` of onnxruntime's CUDA provider.
CONVOLUTION_SEARCHES = ("HEURISTIC", "EXHAUSTIVE", "DEFAULT")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig:
    """How faces are found and described.

    `pack` is "starter" or "starter-compact", the name of a folder in `packs_dir`, or the absolute path of a folder.

    `providers` are onnxruntime's execution providers, best first. All of them must be active, unless
    `allow_provider_fallback`. `runs_at_once` model runs of `threads_per_run` threads each are made at a time; None
    leaves the number to the provider (see providers.py), and on the CPU gives a run that is alone all cores. A call is
    `busy` when `max_waiting` items stand before it; of each other call at most one run's items count. `repair_graphs`
    lets a pack's graphs be rewritten to run faster with the same result.

    A face is rejected below `min_face_score` (the detector's, 0..1), `min_face_pixels` (the shorter side of its box) or
    `min_face_quality` (0..1).

    Photos are decoded by `decode_threads` threads at a time; each holds one picture. `reduced_decoding` reads large
    JPEGs at a fraction of their size where that is enough.
    """

    packs_dir: Path
    pack: str = "starter"
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    allow_provider_fallback: bool = False
    runs_at_once: int | None = None
    threads_per_run: int | None = None
    max_waiting: int = 128
    arena: bool = True
    spinning: bool = False
    convolution_search: str = "HEURISTIC"
    fp16: bool = False
    engine_cache_dir: Path | None = None
    repair_graphs: bool = True
    image_limits: ImageLimits = ImageLimits()
    reduced_decoding: bool = False
    decode_threads: int = field(default_factory=_decode_threads)
    min_face_score: float = 0.5
    min_face_pixels: int = 0
    min_face_quality: float = 0.0

    @property
    def faintest_score(self) -> float:
        """What detectors return: also the faces that are rejected for their score, but not all the noise below."""
        return min(self.min_face_score, _FAINTEST_SCORE)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "FaceConfig":
        """Return the configuration that FACE_CONFIG describes; PACKS_DIR is required, the rest has defaults.

        Raises ConfigError, which names the key, its value and what is allowed.
        """
        read = _Settings(settings)
        config = cls(
            pack=read.text("PACK", "starter"),
            packs_dir=read.folder("PACKS_DIR"),
            providers=read.names("PROVIDERS", ("CPUExecutionProvider",)),
            allow_provider_fallback=read.switch("ALLOW_PROVIDER_FALLBACK", False),
            runs_at_once=read.whole_number_or_none("RUNS_AT_ONCE", smallest=1, largest=64),
            threads_per_run=read.whole_number_or_none("THREADS_PER_RUN", smallest=1, largest=256),
            max_waiting=read.whole_number("MAX_WAITING", 128, largest=1_000_000),
            arena=read.switch("ARENA", True),
            spinning=read.switch("SPINNING", False),
            convolution_search=read.choice("CONVOLUTION_SEARCH", "HEURISTIC", CONVOLUTION_SEARCHES),
            fp16=read.switch("FP16", False),
            engine_cache_dir=read.folder_or_none("ENGINE_CACHE_DIR"),
            repair_graphs=read.switch("REPAIR_GRAPHS", True),
            image_limits=ImageLimits(
                max_bytes=read.whole_number("MAX_IMAGE_BYTES", ImageLimits().max_bytes, largest=2**31),
                max_pixels=read.whole_number(
                    "MAX_IMAGE_PIXELS", ImageLimits().max_pixels, largest=LARGEST_MAX_IMAGE_PIXELS
                ),
            ),
            reduced_decoding=read.switch("REDUCED_DECODING", False),
            decode_threads=read.whole_number_or_none("DECODE_THREADS", smallest=1, largest=256) or _decode_threads(),
            min_face_score=read.share("MIN_FACE_SCORE", 0.5),
            min_face_pixels=read.whole_number("MIN_FACE_PIXELS", 0, smallest=0, largest=10_000),
            min_face_quality=read.share("MIN_FACE_QUALITY", 0.0),
        )
        read.refuse_unknown_keys()
        return config


class _Settings:
    """FACE_CONFIG as it was given; remembers which keys were asked for."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = settings
        self._known: list[str] = []

    def refuse_unknown_keys(self) -> None:
        for key in self._settings:
            if key not in self._known:
                raise ConfigError(f"FACE_CONFIG has no key {key!r}; its keys are {', '.join(self._known)}.")

    def text(self, key: str, default: str) -> str:
        value = self._value(key, default)
        if not isinstance(value, str) or not value.strip():
            raise _refused(key, value, "a name or a folder, not empty")
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._value(key, default)
        if value not in allowed:
            raise _refused(key, value, f"one of {', '.join(allowed)}")
        return str(value)

    def switch(self, key: str, default: bool) -> bool:
        value = self._value(key, default)
        if not isinstance(value, bool):
            raise _refused(key, value, "True or False")
        return value

    def folder(self, key: str) -> Path:
        value = self._value(key, None)
        if not isinstance(value, str | Path) or not str(value):
            raise _refused(key, value, "the path of a folder")
        return Path(value)

    def folder_or_none(self, key: str) -> Path | None:
        return None if self._value(key, None) is None else self.folder(key)

    def names(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._value(key, default)
        if not isinstance(value, list | tuple) or not value or not all(isinstance(n, str) and n for n in value):
            raise _refused(key, value, "a list of one or more execution providers of onnxruntime")
        return tuple(value)

    def whole_number(self, key: str, default: int, *, smallest: int = 1, largest: int) -> int:
        value = self._value(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
            raise _refused(key, value, f"a whole number from {smallest} to {largest}")
        return value

    def whole_number_or_none(self, key: str, *, smallest: int, largest: int) -> int | None:
        return None if self._value(key, None) is None else self.whole_number(key, 0, smallest=smallest, largest=largest)

    def share(self, key: str, default: float) -> float:
        value = self._value(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise _refused(key, value, "a number from 0 to 1")
        return float(value)

    def _value(self, key: str, default: object) -> object:
        if key not in self._known:
            self._known.append(key)
        return self._settings.get(key, default)


def _refused(key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"FACE_CONFIG {key} is {value!r}; allowed is {allowed}.")
