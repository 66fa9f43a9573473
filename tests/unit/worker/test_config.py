"""FACE_CONFIG is checked once; the sentence for a bad value names the key, the value and what is allowed."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker.config import FaceConfig, ImageLimits, is_pack_name
from worker.errors import ConfigError
from worker.recognition.packs.catalogue import KNOWN_PACKS

SETTINGS: dict[str, object] = {
    "PACK": "dlib",
    "PACKS_DIR": "/srv/packs",
    "PROVIDERS": ["CPUExecutionProvider"],
    "MAX_IMAGE_BYTES": 1000,
    "MAX_IMAGE_PIXELS": 2000,
    "MIN_FACE_SCORE": 0.25,
}
#: Each with what it becomes.
FURTHER_SETTINGS: list[tuple[str, object, str, object]] = [
    ("ALLOW_PROVIDER_FALLBACK", True, "allow_provider_fallback", True),
    ("RUNS_AT_ONCE", 3, "runs_at_once", 3),
    ("RUNS_AT_ONCE", None, "runs_at_once", None),
    ("THREADS_PER_RUN", 2, "threads_per_run", 2),
    ("THREADS_PER_RUN", None, "threads_per_run", None),
    ("MAX_WAITING", 16, "max_waiting", 16),
    ("ARENA", False, "arena", False),
    ("SPINNING", True, "spinning", True),
    ("CONVOLUTION_SEARCH", "EXHAUSTIVE", "convolution_search", "EXHAUSTIVE"),
    ("FP16", True, "fp16", True),
    ("ENGINE_CACHE_DIR", "/srv/engines", "engine_cache_dir", Path("/srv/engines")),
    ("ENGINE_CACHE_DIR", None, "engine_cache_dir", None),
    ("REPAIR_GRAPHS", False, "repair_graphs", False),
    ("REDUCED_DECODING", True, "reduced_decoding", True),
    ("DECODE_THREADS", 4, "decode_threads", 4),
    ("MIN_FACE_PIXELS", 40, "min_face_pixels", 40),
    ("MIN_FACE_QUALITY", 0.3, "min_face_quality", 0.3),
    ("SMALLEST_FACE_PIXELS", 20, "smallest_face_pixels", 20),
    ("LONGEST_SIDE_PIXELS", 1920, "longest_side_pixels", 1920),
]


def test_every_key_arrives() -> None:
    config = FaceConfig.from_settings(SETTINGS)

    assert config.pack == "dlib"
    assert config.packs_dir == Path("/srv/packs")
    assert config.providers == ("CPUExecutionProvider",)
    assert config.image_limits.max_bytes == 1000
    assert config.image_limits.max_pixels == 2000
    assert config.min_face_score == 0.25


@pytest.mark.parametrize(("key", "value", "name", "expected"), FURTHER_SETTINGS)
def test_a_further_key_arrives_and_changes_nothing_else(key: str, value: object, name: str, expected: object) -> None:
    config = FaceConfig.from_settings({**SETTINGS, key: value})

    assert getattr(config, name) == expected
    assert replace(config, **{name: getattr(FaceConfig.from_settings(SETTINGS), name)}) == FaceConfig.from_settings(
        SETTINGS
    )


def test_what_is_left_out_has_the_defaults_of_the_class() -> None:
    assert FaceConfig.from_settings({"PACKS_DIR": "p"}) == FaceConfig(packs_dir=Path("p"))


@pytest.mark.parametrize(
    ("asked", "in_force", "faintest"), [(None, 0.9, 0.3), (0.6, 0.6, 0.3), (0.2, 0.2, 0.2), (0.0, 0.0, 0.0)]
)
def test_the_score_of_a_face_is_the_packs_own_unless_one_is_set(
    asked: float | None, in_force: float, faintest: float
) -> None:
    config = FaceConfig(packs_dir=Path("p"), min_face_score=asked)

    assert config.least_face_score(0.9) == in_force
    assert config.faintest_score == faintest


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^FACE_CONFIG has no key PACKS; its keys are .*PACKS_DIR"):
        FaceConfig.from_settings({**SETTINGS, "PACKS": "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PACK", ""),
        ("PACKS_DIR", ""),
        ("PACKS_DIR", 7),
        *(("PACK", name) for name in ("größe", "a,b", "a b", "/packs/a;b", "-x", "..", "x" * 101, "e\u0301", "a\n")),
        ("PROVIDERS", []),
        ("PROVIDERS", "CPUExecutionProvider"),
        ("PROVIDERS", [""]),
        ("MAX_IMAGE_BYTES", 0),
        ("MAX_IMAGE_BYTES", "1000"),
        ("MAX_IMAGE_PIXELS", -1),
        ("MAX_IMAGE_PIXELS", True),
        ("MAX_IMAGE_PIXELS", 10**12),
        ("MIN_FACE_SCORE", 1.5),
        ("MIN_FACE_SCORE", float("nan")),
        ("MIN_FACE_SCORE", float("inf")),
        ("MIN_FACE_SCORE", "high"),
        ("ALLOW_PROVIDER_FALLBACK", "yes"),
        ("RUNS_AT_ONCE", 0),
        ("RUNS_AT_ONCE", 65),
        ("RUNS_AT_ONCE", True),
        ("THREADS_PER_RUN", 0),
        ("THREADS_PER_RUN", 1.5),
        ("MAX_WAITING", 0),
        ("ARENA", 1),
        ("SPINNING", "0"),
        ("CONVOLUTION_SEARCH", "heuristic"),
        ("FP16", "True"),
        ("ENGINE_CACHE_DIR", ""),
        ("ENGINE_CACHE_DIR", 7),
        ("REDUCED_DECODING", 0),
        ("DECODE_THREADS", 0),
        ("MIN_FACE_PIXELS", -1),
        ("MIN_FACE_PIXELS", 10_001),
        ("MIN_FACE_QUALITY", 1.1),
        ("SMALLEST_FACE_PIXELS", 11),
        ("SMALLEST_FACE_PIXELS", 40.5),
        ("LONGEST_SIDE_PIXELS", 0),
        ("LONGEST_SIDE_PIXELS", "1280"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        FaceConfig.from_settings({**SETTINGS, key: value})

    assert str(caught.value).startswith(f"FACE_CONFIG {key} is {value!r}; it must be ")


@pytest.mark.parametrize("pack", ["dlib", "buffalo_l", "a.b-D9", "x" * 100, "/a folder, größe/mine", "/packs/mine/"])
def test_only_the_name_of_a_pack_is_limited_and_not_the_path_before_it(pack: str) -> None:
    assert FaceConfig.from_settings({**SETTINGS, "PACK": pack}).pack == pack


def test_every_pack_that_can_be_fetched_has_a_name_that_it_may_have() -> None:
    assert all(is_pack_name(pack.name) for pack in KNOWN_PACKS)


def test_a_key_without_a_default_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"^FACE_CONFIG PACKS_DIR is not given; it must be the path of a folder\.$"):
        FaceConfig.from_settings({"PACK": "dlib"})


@pytest.mark.parametrize("key", ["PACK", "MAX_WAITING", "CONVOLUTION_SEARCH", "REPAIR_GRAPHS", "DECODE_THREADS"])
def test_none_means_that_a_key_is_not_set(key: str) -> None:
    assert FaceConfig.from_settings({"PACKS_DIR": "p", key: None}) == FaceConfig(packs_dir=Path("p"))


def test_the_image_limits_are_those_of_the_configuration() -> None:
    limits = FaceConfig(packs_dir=Path("p"), max_image_bytes=1000).image_limits

    assert limits == ImageLimits(max_bytes=1000)


def test_the_largest_image_may_take_all_memory_for_pictures_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    def most_bytes(**keys: int) -> int:
        config = FaceConfig.from_settings({"PACKS_DIR": tmp_path, **keys})
        assert config.image_limits.max_decoded_bytes == config.most_picture_bytes
        return config.most_picture_bytes

    assert most_bytes() == 1_700_000_000
    assert most_bytes(MAX_IMAGE_PIXELS=1000) == 17_000
    assert most_bytes(MAX_DECODED_BYTES=50_000_000) == 50_000_000


def test_queries_are_smaller_than_photos_and_never_larger(tmp_path: Path) -> None:
    def pixels(**keys: int) -> tuple[int, int]:
        config = FaceConfig.from_settings({"PACKS_DIR": tmp_path, **keys})
        return config.image_limits.max_pixels, config.query_limits.max_pixels

    assert pixels() == (100_000_000, 40_000_000)
    assert pixels(MAX_QUERY_PIXELS=2_000_000) == (100_000_000, 2_000_000)
    assert pixels(MAX_IMAGE_PIXELS=1_000_000) == (1_000_000, 1_000_000)
