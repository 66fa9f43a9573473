"""FACE_CONFIG, checked once and frozen: which face model, on what, and which pictures are taken.

`worker/vector_search/config.py` does the same for the dictionaries of the vector store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ConfigError

#: Pillow refuses pictures of more than twice its MAX_IMAGE_PIXELS on its own; a limit above that would not hold.
LARGEST_MAX_IMAGE_PIXELS = 178_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """The largest picture that is decoded."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 40_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceConfig:
    """How faces are found and described.

    `pack` is "starter", the name of a folder in `packs_dir`, or the absolute path of a folder. `providers` are
    onnxruntime's execution providers, all of which must be there. Faces that the detector scores below
    `min_face_score` (0..1) are left out.
    """

    packs_dir: Path
    pack: str = "starter"
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    image_limits: ImageLimits = ImageLimits()
    min_face_score: float = 0.5

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "FaceConfig":
        """Return the configuration that FACE_CONFIG describes; PACKS_DIR is required, the rest has defaults.

        Raises ConfigError, which names the key, its value and what is allowed.
        """
        known = ("PACK", "PACKS_DIR", "PROVIDERS", "MAX_IMAGE_BYTES", "MAX_IMAGE_PIXELS", "MIN_FACE_SCORE")
        for key in settings:
            if key not in known:
                raise ConfigError(f"FACE_CONFIG has no key {key!r}; its keys are {', '.join(known)}.")
        return cls(
            pack=_text(settings, "PACK", "starter"),
            packs_dir=_folder(settings, "PACKS_DIR"),
            providers=_names(settings, "PROVIDERS", ("CPUExecutionProvider",)),
            image_limits=ImageLimits(
                max_bytes=_whole_number(settings, "MAX_IMAGE_BYTES", ImageLimits().max_bytes, 2**31),
                max_pixels=_whole_number(
                    settings, "MAX_IMAGE_PIXELS", ImageLimits().max_pixels, LARGEST_MAX_IMAGE_PIXELS
                ),
            ),
            min_face_score=_share(settings, "MIN_FACE_SCORE", 0.5),
        )


def _refused(key: str, value: object, allowed: str) -> ConfigError:
    return ConfigError(f"FACE_CONFIG {key} is {value!r}; allowed is {allowed}.")


def _text(settings: Mapping[str, object], key: str, default: str) -> str:
    value = settings.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise _refused(key, value, "a name or a folder, not empty")
    return value


def _folder(settings: Mapping[str, object], key: str) -> Path:
    value = settings.get(key)
    if not isinstance(value, str | Path) or not str(value):
        raise _refused(key, value, "the path of a folder")
    return Path(value)


def _names(settings: Mapping[str, object], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = settings.get(key, default)
    if not isinstance(value, list | tuple) or not value or not all(isinstance(n, str) and n for n in value):
        raise _refused(key, value, "a list of one or more execution providers of onnxruntime")
    return tuple(value)


def _whole_number(settings: Mapping[str, object], key: str, default: int, largest: int) -> int:
    value = settings.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise _refused(key, value, f"a whole number from 1 to {largest}")
    return value


def _share(settings: Mapping[str, object], key: str, default: float) -> float:
    value = settings.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise _refused(key, value, "a number from 0 to 1")
    return float(value)
