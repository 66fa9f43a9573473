"""A settings dictionary becomes a checked value; what is wrong is a sentence without secrets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

from worker.errors import ConfigError
from worker.settings import Flag, Folder, Name, Seconds, Settings, Share, Text, choice, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(Settings):
    dictionary: ClassVar[str] = "EXAMPLE_CONFIG"

    name: Name
    password: Text = field(default="", repr=False)
    size: Annotated[int, whole(1, 9)] = 3
    limit: Annotated[int | None, whole(1, 9)] = None
    folder: Folder | None = None
    timeout_seconds: Seconds = 1.5
    share: Share = 0.5
    colour: Annotated[str, choice(("red", "blue"))] = "red"
    is_on: Flag = False

    def _check_together(self) -> None:
        if self.limit is not None and self.size > self.limit:
            self._refuse("size", f"at most LIMIT, which is {self.limit}")


def test_each_key_arrives_as_the_type_of_its_field() -> None:
    read = Example.from_settings({"NAME": "a", "FOLDER": "x/y", "TIMEOUT": 2, "SHARE": 1, "LIMIT": 4, "IS_ON": True})

    assert read == Example(name="a", folder=Path("x/y"), timeout_seconds=2, share=1.0, limit=4, is_on=True)
    assert isinstance(read.share, float)


def test_none_is_not_set_and_the_fields_have_the_only_defaults() -> None:
    everything_unset = dict.fromkeys(
        ("PASSWORD", "SIZE", "LIMIT", "FOLDER", "TIMEOUT", "SHARE", "COLOUR", "IS_ON"), None
    )

    assert Example.from_settings({"NAME": "a", **everything_unset}) == Example(name="a")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("NAME", "a-b", "1 to 255 letters, digits and underscores, not starting with a digit"),
        ("SIZE", 0, "a whole number from 1 to 9"),
        ("SIZE", True, "a whole number from 1 to 9"),
        ("SIZE", 3.0, "a whole number from 1 to 9"),
        ("LIMIT", 10, "a whole number from 1 to 9"),
        ("FOLDER", "", "the path of a folder"),
        ("TIMEOUT", 0, "a number of seconds, more than 0 and at most 3600"),
        ("TIMEOUT", float("nan"), "a number of seconds, more than 0 and at most 3600"),
        ("TIMEOUT", float("inf"), "a number of seconds, more than 0 and at most 3600"),
        ("SHARE", 2, "a number from 0 to 1"),
        ("SHARE", float("nan"), "a number from 0 to 1"),
        ("SHARE", float("-inf"), "a number from 0 to 1"),
        ("COLOUR", "green", "one of red, blue"),
        ("IS_ON", "yes", "True or False"),
        ("IS_ON", 1, "True or False"),
    ],
)
def test_the_sentence_names_the_dictionary_the_key_the_value_and_what_is_allowed(
    key: str, value: object, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Example.from_settings({"NAME": "a", key: value})

    assert str(caught.value) == f"EXAMPLE_CONFIG {key} is {value!r}; it must be {allowed}."


def test_keys_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^EXAMPLE_CONFIG SIZE is 5; it must be at most LIMIT, which is 4\.$"):
        Example.from_settings({"NAME": "a", "SIZE": 5, "LIMIT": 4})


def test_an_unknown_key_and_a_missing_one_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^EXAMPLE_CONFIG has no key TYPO; its keys are COLOUR, .*TIMEOUT\.$"):
        Example.from_settings({"NAME": "a", "TYPO": 1})
    with pytest.raises(ConfigError, match=r"^EXAMPLE_CONFIG NAME is not given; it must be 1 to 255 letters"):
        Example.from_settings({})


def test_no_sentence_shows_a_secret() -> None:
    with pytest.raises(ConfigError, match=r"PASSWORD is '\(hidden\)'; it must be a text") as caught:
        Example.from_settings({"NAME": "a", "PASSWORD": 7331})

    assert "7331" not in str(caught.value)
    assert "geheim" not in repr(Example(name="a", password="geheim"))
