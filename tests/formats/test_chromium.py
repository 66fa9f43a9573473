"""What Debian's Chromium shows is indexed, and looks the same here; where not, a list says so and why."""

from collections import Counter
from collections.abc import Mapping

import pytest

from tests.formats import known
from tests.formats.comparison import Comparison
from tests.formats.corpus import files
from worker.errors import ImageError

pytestmark = pytest.mark.browser


def test_there_are_enough_files_of_every_format() -> None:
    counts = Counter(file.format for file in files())

    assert set(counts) == set(known.SHOWN_BY_CHROMIUM)
    assert sum(counts.values()) >= 200
    assert min(counts.values()) >= 30


def test_what_chromium_shows_is_indexed_but_for_a_list(compared: list[Comparison]) -> None:
    refused = {each.file.name for each in compared if each.is_shown and not each.is_picture}

    assert refused == names(known.REFUSED)


def test_what_is_indexed_looks_as_in_chromium_but_for_a_list(compared: list[Comparison]) -> None:
    both = [each for each in compared if each.is_shown and each.is_picture]
    different = {each.file.name for each in both if not each.is_alike()}

    assert different == names(known.DIFFERENT)
    assert len(both) > 200


def test_most_files_that_chromium_does_not_show_are_refused_with_a_code(compared: list[Comparison]) -> None:
    refused = [each for each in compared if not each.is_shown and isinstance(each.decoded, ImageError)]

    assert refused
    assert {each.decoded.code for each in refused if isinstance(each.decoded, ImageError)} <= {
        "not_an_image",
        "image_truncated",
        "image_unsupported",
        "image_too_large",
    }


def test_a_picture_that_is_only_a_little_off_is_seen(compared: list[Comparison]) -> None:
    """The comparison itself: another picture's rendering, a turned one and a darker one are not alike."""
    one, turned, darker = (
        next(each for each in compared if each.file.name == name)
        for name in ("JPEG quality 100", "JPEG EXIF orientation 3", "JPEG linear profile")
    )

    assert one.is_alike()
    assert turned.is_alike()
    assert not one.beside(turned.chromium).is_alike()
    assert not one.beside(darker.chromium).is_alike()


def names(lists: Mapping[str, tuple[str, ...]]) -> set[str]:
    together = [name for part in lists.values() for name in part]
    assert len(together) == len(set(together))
    return set(together)
