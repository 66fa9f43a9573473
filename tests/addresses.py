"""A fixture for addresses that settings turn on, which are read once."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import clear_url_caches

import webapp.accounts.urls
import webapp.config.urls


def _read_addresses_again() -> None:
    importlib.reload(webapp.accounts.urls)
    importlib.reload(webapp.config.urls)
    clear_url_caches()


@pytest.fixture
def turn_on(settings: Any) -> Iterator[Callable[..., None]]:
    """Set settings that decide which addresses there are, as they would be from the start."""

    before: dict[str, Any] = {}

    def set_them(**values: Any) -> None:
        for name, value in values.items():
            before.setdefault(name, getattr(settings, name))
            setattr(settings, name, value)
        _read_addresses_again()

    yield set_them
    for name, value in before.items():
        setattr(settings, name, value)
    _read_addresses_again()
