"""Settings dictionaries as frozen, checked values.

Each dictionary of the Django settings has one class, derived from `Settings`. A field of that class says everything
about a key: its name, what is allowed (a `Check` in the field's `Annotated` type) and its default. An unknown key or a
bad value raises ConfigError with a sentence that names the dictionary, the key, the value and what is allowed.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, Self, get_args, get_type_hints

from worker.errors import ConfigError

#: What a sentence shows in place of a secret.
HIDDEN = "(hidden)"

_NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_NAME_RULE = "1 to 255 letters, digits and underscores, not starting with a digit"


@dataclass(frozen=True, slots=True)
class Check:
    """What a key allows: `allowed` completes "it must be ...", `accepts` decides, `convert` makes the final value."""

    allowed: str
    accepts: Callable[[Any], bool]
    convert: Callable[[Any], object] = lambda value: value


def whole(least: int, most: int) -> Check:
    """Allow a whole number between the two, both included."""
    return Check(f"a whole number from {least} to {most}", lambda value: _is_whole(value) and least <= value <= most)


def seconds(most: float = 3600) -> Check:
    """Allow a positive number of seconds."""
    return Check(
        f"a number of seconds, more than 0 and at most {most:g}", lambda value: _is_number(value) and 0 < value <= most
    )


def choice(choices: Collection[str]) -> Check:
    """Allow one of the texts."""
    return Check(f"one of {', '.join(choices)}", lambda value: isinstance(value, str) and value in choices)


# Comparisons with NaN are false, so no check lets one pass; infinity is beyond every bound.
_SHARE = Check("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1, float)
_FLAG = Check("True or False", lambda value: isinstance(value, bool))
_TEXT = Check("a text", lambda value: isinstance(value, str))
_NAME = Check(_NAME_RULE, lambda value: isinstance(value, str) and bool(_NAME_PATTERN.fullmatch(value)))
_OPTIONAL_NAME = Check(f"{_NAME_RULE}, or empty", lambda value: value == "" or _NAME.accepts(value))
_FOLDER = Check("the path of a folder", lambda value: isinstance(value, str | Path) and bool(str(value)), Path)

#: 0..1.
Share = Annotated[float, _SHARE]
Flag = Annotated[bool, _FLAG]
#: Any text, the empty one included.
Text = Annotated[str, _TEXT]
#: A name that Milvus accepts.
Name = Annotated[str, _NAME]
OptionalName = Annotated[str, _OPTIONAL_NAME]
#: A path; the folder need not exist yet.
Folder = Annotated[Path, _FOLDER]
Seconds = Annotated[float, seconds()]


class Settings:
    """The base of all configuration classes.

    The key of a field is its name in capitals without `_seconds`. A value of None means "not set": the default
    applies. Fields with `repr=False` are secrets, whose values appear in no sentence.
    """

    __slots__ = ()

    #: The name of the dictionary in the Django settings.
    dictionary: ClassVar[str]
    #: The check of each field that has one.
    _checks: ClassVar[dict[str, Check]]

    def __init_subclass__(cls) -> None:
        cls._checks = {
            name: check
            for name, hint in get_type_hints(cls, include_extras=True).items()
            for part in (hint, *get_args(hint))  # the hint itself, and the parts of `Folder | None`
            for check in getattr(part, "__metadata__", ())
            if isinstance(check, Check)
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Return the value of a settings dictionary. Raises ConfigError."""
        by_key = {_key(each.name): each for each in _fields(cls)}
        for key in settings:
            if key not in by_key:
                # Without its value: it may be a password under a misspelt name.
                raise ConfigError(f"{cls.dictionary} has no key {key}; its keys are {', '.join(sorted(by_key))}.")
        given = {by_key[key].name: value for key, value in settings.items() if value is not None}
        for key, each in by_key.items():
            if each.name not in given and each.default is MISSING and each.default_factory is MISSING:
                allowed = cls._checks[each.name].allowed
                raise ConfigError(f"{cls.dictionary} {key} is not given; it must be {allowed}.")
        return cls(**given)

    def __post_init__(self) -> None:
        for each in _fields(type(self)):
            value = getattr(self, each.name)
            check = self._checks.get(each.name)
            if check is None or (value is None and each.default is None):
                continue
            if not check.accepts(value):
                self._refuse(each.name, check.allowed)
            object.__setattr__(self, each.name, check.convert(value))
        self._check_together()

    def _check_together(self) -> None:
        """Check what depends on several keys. Called when each value is allowed by itself."""

    def _refuse(self, name: str, allowed: str) -> NoReturn:
        """Raise ConfigError for the value of the field `name`."""
        value = getattr(self, name)
        is_secret = any(each.name == name and not each.repr for each in _fields(type(self)))
        raise refused(self.dictionary, _key(name), HIDDEN if is_secret and value != "" else value, allowed)


def refused(dictionary: str, key: str, value: object, allowed: str) -> ConfigError:
    """Return the error for a value that is not allowed."""
    return ConfigError(f"{dictionary} {key} is {value!r}; it must be {allowed}.")


def _key(field_name: str) -> str:
    """`search_timeout_seconds` is SEARCH_TIMEOUT in the settings, the name that operators know."""
    return field_name.removesuffix("_seconds").upper()


def _fields(cls: type[Settings]) -> tuple[Field[Any], ...]:
    return fields(cls)  # type: ignore[arg-type]  # every derived class is a dataclass


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
