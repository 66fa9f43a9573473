"""FACE_CONFIG is checked once, and what is wrong with it is said by key, value and what is allowed."""

from pathlib import Path

import pytest

from worker.config import FaceConfig
from worker.errors import ConfigError

SETTINGS: dict[str, object] = {
    "PACK": "starter",
    "PACKS_DIR": "/srv/packs",
    "PROVIDERS": ["CPUExecutionProvider"],
    "MAX_IMAGE_BYTES": 1000,
    "MAX_IMAGE_PIXELS": 2000,
    "MIN_FACE_SCORE": 0.25,
}


def test_every_key_arrives() -> None:
    config = FaceConfig.from_settings(SETTINGS)

    assert config.pack == "starter"
    assert config.packs_dir == Path("/srv/packs")
    assert config.providers == ("CPUExecutionProvider",)
    assert config.image_limits.max_bytes == 1000
    assert config.image_limits.max_pixels == 2000
    assert config.min_face_score == 0.25


def test_what_is_left_out_has_the_defaults_of_the_class() -> None:
    assert FaceConfig.from_settings({"PACKS_DIR": "p"}) == FaceConfig(packs_dir=Path("p"))


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'PACKS'.*PACKS_DIR"):
        FaceConfig.from_settings({**SETTINGS, "PACKS": "x"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PACK", ""),
        ("PACK", None),
        ("PACKS_DIR", ""),
        ("PACKS_DIR", 7),
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
        ("MIN_FACE_SCORE", "high"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        FaceConfig.from_settings({**SETTINGS, key: value})

    assert key in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "allowed is" in str(caught.value)
