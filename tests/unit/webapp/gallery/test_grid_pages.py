"""The gallery's page: its grid, part by part, what it renews, its size and its queries; and the covers of galleries."""

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tasks import clock
from tasks.storage.photo_files import digest_of, rendition_save
from tests import pictures
from tests.unit.webapp.conftest import add_indexed_photo, add_photo, face_info, failed, record
from webapp.gallery.browsing.neighbours import neighbours_of
from webapp.gallery.browsing.photo_lists import PhotoList, Sort
from webapp.gallery.models import Face, Gallery, Level, Member, Photo
from webapp.gallery.services import gallery_create
from webapp.gallery.views.grid import TILES_RENEWED
from webapp.http.pages import GRID_SIZE
from worker.config import ImageLimits
from worker.images.decoding import decode
from worker.renditions import renditions_of

#: What the issue asks for, of a gallery with 10,000 photos.
MOST_QUERIES = 12
MOST_THUMBNAIL_BYTES = 1_500_000
MANY = 10_000


@pytest.fixture
def page(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    content: str = response.content.decode()
    return content


def tiles(shown: str) -> list[str]:
    return re.findall(r'<li class="tile" id="photo-([^"]+)"', shown)


def links(shown: str, rel: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(rf'<a [^>]*rel="{rel}" href="([^"]+)"', shown)]


def add_many(gallery: Gallery, count: int, *, state: str = "indexed", **values: Any) -> list[Photo]:
    """Rows without files; the first one is the newest."""
    now = clock.utcnow()
    return Photo.objects.bulk_create(
        Photo(
            gallery=gallery,
            filename=f"IMG_{number:05}.jpg",
            sha256=uuid.uuid4().hex * 2,
            byte_size=1,
            state=state,
            created=now - timedelta(seconds=number),
            **values,
        )
        for number in range(count)
    )


# -- the parts of the grid --------------------------------------------------------------------------------------


def test_the_grid_goes_on_by_cursor_with_and_without_javascript(page: Client, gallery: Gallery) -> None:
    photos = add_many(gallery, 2 * GRID_SIZE + 3)
    shown = text(page.get(f"/galleries/{gallery.id}/?sort=-created"))
    found = tiles(shown)
    for is_last in (False, True):
        [more] = links(shown, "next")
        [ahead] = re.findall(r'class="ahead" hx-get="([^"]+)"', shown)
        part = text(page.get(html.unescape(ahead)))
        shown = text(page.get(more))
        assert "<html" not in part
        assert tiles(part) == tiles(shown)
        assert bool(links(part, "next")) is not is_last
        found += tiles(part)
    assert found == [str(photo.id) for photo in photos]
    assert "From the beginning" in shown


def test_every_link_of_the_grid_keeps_what_is_asked_for(page: Client, gallery: Gallery) -> None:
    add_many(gallery, GRID_SIZE + 1, folder="Ibiza", state="no_faces")
    query = "state=no_faces&folder=Ibiza&sort=filename"
    shown = text(page.get(f"/galleries/{gallery.id}/?{query}"))
    assert links(shown, "next")[0].startswith(f"/galleries/{gallery.id}/?{query}&cursor=")
    of_photos = [html.unescape(each) for each in re.findall(r'class="picture" href="([^"]+)"', shown)]
    assert all(each.endswith(f"/?{query}") for each in of_photos)
    assert len(of_photos) == GRID_SIZE
    assert f'action="/galleries/{gallery.id}/selected/delete/?{html.escape(query)}"' in shown
    assert '<option value="filename" selected>' in shown
    assert 'list="folders" value="Ibiza"' in shown
    assert '<option value="Ibiza"></option>' in shown
    assert "All 61 that match" in shown


def test_a_cursor_of_another_list_begins_anew(page: Client, gallery: Gallery) -> None:
    add_many(gallery, GRID_SIZE + 1)
    [more] = links(text(page.get(f"/galleries/{gallery.id}/")), "next")
    shown = page.get(more.replace("?&", "?sort=filename&"))
    assert shown.status_code == 200
    assert len(tiles(text(shown))) == GRID_SIZE
    assert page.get(f"/galleries/{gallery.id}/grid/?cursor=forged").status_code == 200


def test_whoever_comes_back_from_a_photo_is_where_it_is(page: Client, gallery: Gallery) -> None:
    photos = add_many(gallery, 3 * GRID_SIZE)
    of_photo = text(page.get(f"/photos/{photos[100].id}/?sort=-created"))
    [address] = re.findall(r'href="([^"]*at=[^"#]+)#photo-', of_photo)
    shown = text(page.get(html.unescape(address)))
    assert str(photos[100].id) in tiles(shown)
    assert tiles(shown)[0] == str(photos[76].id)
    earlier = text(page.get(links(shown, "prev")[0]))
    assert str(photos[75].id) in tiles(earlier)
    assert page.get(f"/galleries/{gallery.id}/?at={uuid.uuid4()}").status_code == 200


def test_a_photo_leads_to_those_before_and_after_it_in_the_same_list(page: Client, gallery: Gallery) -> None:
    photos = add_many(gallery, 3, folder="Ibiza", renditions="0" * 16)
    add_photo(gallery)
    shown = text(page.get(f"/photos/{photos[1].id}/?folder=Ibiza"))
    assert links(shown, "prev") == [f"/photos/{photos[0].id}/?folder=Ibiza"]
    assert links(shown, "next") == [f"/photos/{photos[2].id}/?folder=Ibiza"]
    assert f'rel="prefetch" as="image" href="/photos/{photos[2].id}/preview/' in shown
    assert links(text(page.get(f"/photos/{photos[0].id}/?folder=Ibiza")), "prev") == []


def test_the_neighbours_of_a_photo_take_a_query_each(gallery: Gallery) -> None:
    photos = add_many(gallery, 3)
    photo = Photo.objects.select_related("gallery").get(id=photos[1].id)
    with CaptureQueriesContext(connection) as captured:
        found = neighbours_of(photo, PhotoList())
        assert found.previous is not None
        assert found.following is not None
        assert found.previous.filename + found.following.renditions == photos[0].filename
    assert len(captured) == 2


def test_an_empty_grid_says_why(page: Client, gallery: Gallery) -> None:
    address = f"/galleries/{gallery.id}/"
    assert "No photos yet. Add some" in text(page.get(address))
    add_photo(gallery)
    assert "No photos in this state." in text(page.get(address + "?state=failed"))
    assert "No photos match." in text(page.get(address + "?filename=nothing"))


def test_tiles_show_a_thumbnail_a_placeholder_or_why_there_is_none(page: Client, gallery: Gallery) -> None:
    pending, bad, good = (add_photo(gallery, name.encode(), name) for name in ("pending", "bad", "good"))
    record(gallery, failed(bad))
    Photo.objects.filter(id=good.id).update(renditions="0123456789abcdef", state="no_faces")
    shown = text(page.get(f"/galleries/{gallery.id}/"))
    assert f'src="/photos/{good.id}/thumbnail/0123456789abcdef.jpg" alt="good" loading="lazy"' in shown
    assert f'data-waiting="{pending.id}"' in shown
    assert "No picture yet" in shown
    assert "This file is not a picture." in shown
    for named in (pending, bad):
        # Links of the same text would lead to one place.
        assert f'<span class="visually-hidden">{named.filename}: </span>' in shown
    assert "/original/" not in shown
    assert "/preview/" not in shown


def test_photos_that_are_being_deleted_are_counted_and_not_shown(page: Client, gallery: Gallery) -> None:
    add_many(gallery, 1, state="deleting")
    shown = text(page.get(f"/galleries/{gallery.id}/"))
    assert "1 deleting" in shown
    assert tiles(shown) == []
    assert len(tiles(text(page.get(f"/galleries/{gallery.id}/?state=deleting")))) == 1


# -- what changes on it -------------------------------------------------------------------------------------------


def test_counts_and_waiting_tiles_are_polled_until_nothing_is_pending(page: Client, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    address = f"/galleries/{gallery.id}/"
    changes = f"{address}changes/?tile={photo.id}"
    assert 'hx-trigger="every 2s, ' in text(page.get(address))
    assert '<noscript><meta http-equiv="refresh"' in text(page.get(address))
    waiting = text(page.get(changes))
    assert 'hx-trigger="every 2s, ' in waiting
    assert "data-waiting" in waiting
    record(gallery, failed(photo))
    settled = text(page.get(changes))
    assert tiles(settled) == [str(photo.id)]
    assert 'hx-swap-oob="true"' in settled
    assert "This file is not a picture." in settled
    for shown in (settled, text(page.get(address))):
        assert "every 2s" not in shown
        assert "data-waiting" not in shown
        assert "http-equiv" not in shown


def test_only_the_tiles_that_are_asked_for_are_drawn_anew(page: Client, gallery: Gallery, stranger: User) -> None:
    asked, other = add_photo(gallery, b"1"), add_photo(gallery, b"2")
    theirs = add_photo(gallery_create(owner=stranger, name="Secrets"), b"3", "secret.jpg")
    gone = uuid.uuid4()
    tile = "&tile=".join(map(str, ("nonsense", asked.id, theirs.id, gone)))
    shown = text(page.get(f"/galleries/{gallery.id}/changes/?tile={tile}"))
    assert tiles(shown) == [str(asked.id)]
    assert str(other.id) not in shown
    assert "secret" not in shown
    for each in (theirs.id, gone):
        assert f'<li id="photo-{each}" hx-swap-oob="delete">' in shown


def test_polling_goes_on_while_the_page_has_more_waiting_tiles_than_it_can_ask_for(
    page: Client, gallery: Gallery
) -> None:
    script = (settings.BASE_DIR / "webapp/static/js/grid.js").read_text()
    assert f"TILES_RENEWED = {TILES_RENEWED};" in script
    photos = add_many(gallery, TILES_RENEWED)
    tile = "&tile=".join(str(photo.id) for photo in photos)
    assert "every 2s" in text(page.get(f"/galleries/{gallery.id}/changes/?tile={tile}"))
    assert "every 2s" not in text(page.get(f"/galleries/{gallery.id}/changes/?tile={photos[0].id}"))


def test_whoever_looks_at_the_grid_is_told_of_new_photos(page: Client, gallery: Gallery) -> None:
    add_many(gallery, 3)
    [address] = re.findall(r'id="changes" hx-get="([^"]+)"', text(page.get(f"/galleries/{gallery.id}/")))
    assert "new photo" not in text(page.get(html.unescape(address)))
    add_photo(gallery)
    told = text(page.get(html.unescape(address)))
    assert "1 new photo: show it" in told
    assert address in told, "the next answer counts from the same number"


def test_only_failed_photos_that_may_succeed_are_offered_to_be_retried(page: Client, gallery: Gallery) -> None:
    photo = add_photo(gallery)
    record(gallery, failed(photo, code="not_an_image"))
    assert "Retry failed photos" not in text(page.get(f"/galleries/{gallery.id}/"))
    Photo.objects.update(code="gave_up")
    assert "Retry failed photos" in text(page.get(f"/galleries/{gallery.id}/"))


def test_a_viewer_chooses_and_retries_nothing(gallery: Gallery, stranger: User) -> None:
    Member.objects.create(gallery=gallery, user=stranger, level=Level.VIEWER)
    photo = add_photo(gallery)
    record(gallery, failed(photo, code="gave_up"))
    client = Client()
    client.force_login(stranger)
    for address in ("", "grid/", f"changes/?tile={photo.id}"):
        shown = text(client.get(f"/galleries/{gallery.id}/{address}"))
        assert "checkbox" not in shown
        assert "/selected/move/" not in shown
        assert "Retry" not in shown


# -- what it costs ------------------------------------------------------------------------------------------------


@pytest.fixture
def large_gallery(gallery: Gallery) -> Gallery:
    """A gallery of 10,000 photos, of which the newest ones have real thumbnails, and each has a face."""
    add_many(gallery, MANY)
    samples = [
        renditions_of(decode(each, limits=ImageLimits()), []).pictures for each in pictures.sample_files().values()
    ]
    newest = list(gallery.photos.order_by("-created")[:GRID_SIZE])
    for number, photo in enumerate(newest):
        made = samples[number % len(samples)]
        assert made is not None
        photo.renditions = digest_of(made.thumbnail, made.preview)
        rendition_save(photo.id, "thumbnail", photo.renditions, made.thumbnail)
    Photo.objects.bulk_update(newest, ["renditions"])
    Face.objects.bulk_create(
        Face(id=uuid.uuid4(), photo=photo, left=0, top=0, right=1, bottom=1, score=1, quality=1)
        for photo in gallery.photos.only("id")
    )
    return gallery


def test_a_page_of_ten_thousand_photos_takes_few_queries_and_few_bytes(page: Client, large_gallery: Gallery) -> None:
    address = f"/galleries/{large_gallery.id}/"
    queries = {}
    for name in ("", "?sort=-taken_at&state=indexed&folder=x&filename=IMG&first_day=2020-01-01", "grid/", "changes/"):
        with CaptureQueriesContext(connection) as captured:
            assert page.get(address + name).status_code == 200
        queries[name] = len(captured)
    assert max(queries.values()) <= MOST_QUERIES, queries
    sources = re.findall(r'<img src="(/photos/[^"]+)"', text(page.get(address)))
    sizes = [len(page.get(source).content) for source in sources]
    assert len(sizes) == GRID_SIZE
    assert min(sizes) > 0
    assert sum(sizes) < MOST_THUMBNAIL_BYTES


@pytest.mark.parametrize("sort", list(Sort))
def test_a_part_of_the_grid_is_read_along_an_index_however_large_the_gallery(gallery: Gallery, sort: Sort) -> None:
    """Along one that has the list's order: nothing is sorted, so a part costs the same anywhere in the list."""
    plan = PhotoList(sort=sort).photos(gallery)[: GRID_SIZE + 1].explain()
    if connection.vendor == "sqlite":
        assert "USING INDEX photo_gallery_" in plan
        assert "TEMP B-TREE" not in plan


# -- covers -------------------------------------------------------------------------------------------------------


def test_a_gallery_is_covered_by_its_newest_photo_that_has_a_picture(
    page: Client, gallery: Gallery, user: User, their_gallery: Gallery
) -> None:
    empty = gallery_create(owner=user, name="Empty")
    add_many(their_gallery, 1, renditions="f" * 16)
    covering = add_many(gallery, 3, renditions="0" * 16)[0]
    Photo.objects.filter(id=covering.id).update(created=clock.utcnow() + timedelta(seconds=1))
    add_photo(gallery)  # newer than the others, and without a picture
    shown = text(page.get("/"))
    assert re.findall(r'<img src="(/photos/[^"]+)"', shown) == [f"/photos/{covering.id}/thumbnail/{'0' * 16}.jpg"]
    assert empty.name in shown


def test_the_list_of_galleries_asks_for_all_covers_at_once(page: Client, user: User) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as captured:
            page.get("/")
        return len(captured)

    add_many(gallery_create(owner=user, name="0"), 2, renditions="0" * 16)
    one = count()
    for number in range(1, 5):
        add_many(gallery_create(owner=user, name=f"{number}"), 2, renditions="0" * 16)
    assert count() == one


def test_faces_are_counted_as_the_active_generation_finds_them(page: Client, gallery: Gallery) -> None:
    add_indexed_photo(gallery, face_info(), face_info(left=99))
    assert "2 faces" in text(page.get(f"/galleries/{gallery.id}/"))
