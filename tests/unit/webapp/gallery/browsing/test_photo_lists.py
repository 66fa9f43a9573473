"""Which photos a page shows, and in which order."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.http import QueryDict
from django.utils import timezone

from tests.unit.webapp.conftest import add_photo
from webapp.gallery.browsing.neighbours import cursor_near, neighbours_of
from webapp.gallery.browsing.photo_lists import PhotoList, Sort
from webapp.gallery.models import Gallery, Photo
from webapp.gallery.selectors import folders_of
from webapp.http.rest.cursors import part_of


def photo(
    gallery: Gallery, name: str, *, folder: str = "", taken: str = "", added: str = "2026-05-05T12:00", state: str = ""
) -> Photo:
    row = add_photo(gallery, name.encode(), name)
    Photo.objects.filter(id=row.id).update(
        folder=folder,
        taken_at=datetime.fromisoformat(taken).replace(tzinfo=UTC) if taken else None,
        created=datetime.fromisoformat(added).replace(tzinfo=UTC),
        state=state or row.state,
    )
    row.refresh_from_db()
    return row


def names(gallery: Gallery, query: str) -> list[str]:
    return list(PhotoList.asked(QueryDict(query)).photos(gallery).values_list("filename", flat=True))


def test_the_address_says_the_list_and_is_short_for_the_usual_one() -> None:
    query = "state=failed&filename=IMG&folder=2024%2FIbiza&dates=added&first_day=2024-01-31&sort=-taken_at"
    assert PhotoList.asked(QueryDict(query)).query == query
    assert PhotoList.asked(QueryDict("sort=-created&dates=taken&state=&page=7")).query == ""


@pytest.mark.parametrize(
    "query",
    [
        "state=x",
        "sort=password",
        "dates=born",
        "first_day=yesterday",
        "last_day=2024-02-31",
        "filename=%00",
        "folder=/",
    ],
)
def test_what_an_address_says_wrongly_is_as_if_it_were_not_there(query: str) -> None:
    assert PhotoList.asked(QueryDict(query)) == PhotoList()


def test_photos_are_sorted_by_when_they_were_added_taken_and_by_name(gallery: Gallery) -> None:
    photo(gallery, "b", taken="2020-01-01T10:00", added="2026-01-03T00:00")
    photo(gallery, "a", taken="2021-01-01T10:00", added="2026-01-01T00:00")
    photo(gallery, "c", added="2026-01-02T00:00")
    listed = {sort.value: "".join(names(gallery, f"sort={sort.value}")) for sort in Sort}
    assert listed == {
        "-created": "bca",
        "created": "acb",
        "-taken_at": "cab",
        "taken_at": "bac",
        "filename": "abc",
        "-filename": "cba",
    }


def test_a_folder_has_those_in_it_and_no_others(gallery: Gallery) -> None:
    for number, folder in enumerate(["2024", "2024/Ibiza", "2024/Ibiza/Beach", "2024b", "", "Ibiza"]):
        photo(gallery, f"{number}", folder=folder)
    assert sorted(names(gallery, "folder=2024/Ibiza")) == ["1", "2"]
    assert sorted(names(gallery, "folder=2024")) == ["0", "1", "2"]
    assert folders_of(gallery) == ["2024", "2024/Ibiza", "2024/Ibiza/Beach", "2024b", "Ibiza"]


def test_the_folders_that_are_offered_include_those_that_hold_only_folders(gallery: Gallery) -> None:
    photo(gallery, "a", folder="Archive/2024/Ibiza")
    assert folders_of(gallery) == ["Archive", "Archive/2024", "Archive/2024/Ibiza"]


def test_the_days_on_which_photos_were_taken_are_those_of_the_camera(gallery: Gallery) -> None:
    photo(gallery, "before", taken="2024-05-31T23:59:59")
    photo(gallery, "first", taken="2024-06-01T00:00")
    photo(gallery, "last", taken="2024-06-02T23:59:59.999999")
    photo(gallery, "after", taken="2024-06-03T00:00")
    photo(gallery, "undated", added="2024-06-01T12:00")
    with timezone.override(ZoneInfo("Pacific/Auckland")):
        assert sorted(names(gallery, "first_day=2024-06-01&last_day=2024-06-02")) == ["first", "last"]
    assert sorted(names(gallery, "last_day=2024-05-31")) == ["before"]


def test_the_days_on_which_photos_were_added_are_those_of_the_reader(gallery: Gallery) -> None:
    photo(gallery, "before", added="2024-05-31T11:59")
    photo(gallery, "first", added="2024-05-31T12:00")
    photo(gallery, "after", added="2024-06-01T12:00")
    with timezone.override(ZoneInfo("Pacific/Auckland")):
        assert names(gallery, "dates=added&first_day=2024-06-01&last_day=2024-06-01") == ["first"]


@pytest.mark.parametrize("dates", ["taken", "added"])
@pytest.mark.parametrize("day", [date.min, date.max])
def test_days_at_the_ends_of_the_calendar_are_no_errors(gallery: Gallery, dates: str, day: date) -> None:
    photo(gallery, "a", taken="2024-06-01T00:00")
    with timezone.override(ZoneInfo("Pacific/Auckland")):
        assert names(gallery, f"dates={dates}&first_day=0001-01-01&last_day=9999-12-31") == ["a"]
        names(gallery, f"dates={dates}&first_day={day}&last_day={day}")


@pytest.mark.parametrize("sort", list(Sort))
def test_a_list_in_any_order_goes_on_by_cursor_with_every_photo_once(gallery: Gallery, sort: Sort) -> None:
    for number in range(7):  # pairs of the same date and of none, names in another order
        taken = f"2024-01-0{number // 2 + 1}T10:00:00.000{number % 2}" if number < 4 else ""
        photo(gallery, f"{number * 3 % 7}", taken=taken, added=f"2026-01-0{number // 2 + 1}T00:00")
    shown = PhotoList(sort=sort).photos(gallery)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        part, cursor = part_of(shown, order=sort.order, cursor=cursor, limit=2)
        found += [each.filename for each in part]
    assert found == [each.filename for each in shown]
    assert len(set(found)) == 7


@pytest.mark.parametrize("sort", list(Sort))
def test_a_photos_neighbours_are_those_of_its_list(gallery: Gallery, sort: Sort) -> None:
    for number in range(5):
        photo(gallery, f"{number * 2 % 5}", taken=f"2024-01-0{number + 1}T10:00", added=f"2026-01-0{number + 1}T00:00")
    photo(gallery, "other", state="failed")
    shown = PhotoList(sort=sort, state=Photo.State.PENDING)
    listed = list(shown.photos(gallery))
    for before, here, after in zip([None, *listed], listed, [*listed[1:], None], strict=False):
        found = neighbours_of(here, shown)
        assert (found.previous, found.following) == (before, after)


def test_a_photo_that_has_left_the_list_still_has_neighbours_in_it(gallery: Gallery) -> None:
    first, here, last = (photo(gallery, str(number), added=f"2026-01-0{number}T00:00") for number in (1, 2, 3))
    Photo.objects.filter(id=here.id).update(state="indexed")
    here.refresh_from_db()
    found = neighbours_of(here, PhotoList(sort=Sort.OLDEST_ADDED, state=Photo.State.PENDING))
    assert (found.previous, found.following) == (first, last)


def test_whoever_comes_back_from_a_photo_finds_it_in_the_first_part(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.gallery.browsing.neighbours.SHOWN_BEFORE", 2)
    photos = [photo(gallery, str(number), added=f"2026-01-0{number + 1}T00:00") for number in range(6)]
    shown = PhotoList(sort=Sort.OLDEST_ADDED)
    assert [cursor_near(each, shown) == "" for each in photos] == [True] * 3 + [False] * 3
    cursor = cursor_near(photos[4], shown)
    part, _ = part_of(shown.photos(gallery), order=shown.sort.order, cursor=cursor, limit=3)
    assert part == photos[2:5]
