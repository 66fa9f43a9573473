"""Pages follow their reader's time zone and theme, and that costs no query."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from webapp.accounts.models import Profile, Session
from webapp.accounts.own.profiles import time_zones


@pytest.fixture
def client(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def save(client: Client, **values: str) -> Any:
    return client.post("/account/", {"time_zone": "UTC", "theme": "", **values})


def test_pages_show_times_in_their_readers_time_zone(user: User, stranger: User, client: Client) -> None:
    assert save(client, time_zone="Asia/Tokyo").status_code == 302
    page = client.get("/account/sessions/").content.decode()
    assert "Times are in Asia/Tokyo" in page
    seen = Session.objects.get(user=user).seen_at
    assert f"{seen.astimezone(ZoneInfo('Asia/Tokyo')):%-d %B %Y, %H:%M}" in page
    other = Client()
    other.force_login(stranger)
    assert "Times are in UTC" in other.get("/account/sessions/").content.decode()


def test_the_theme_is_the_systems_until_one_is_chosen(client: Client) -> None:
    assert "data-theme" not in client.get("/").content.decode()
    save(client, theme="dark")
    page = client.get("/").content.decode()
    assert '<html lang="en" data-theme="dark">' in page
    assert '<meta name="color-scheme" content="dark">' in page
    save(client, theme="")
    assert "data-theme" not in client.get("/").content.decode()


@pytest.mark.parametrize("wrong", [{"time_zone": "Mars/Olympus"}, {"time_zone": ""}, {"theme": "pink"}])
def test_what_is_not_on_offer_is_refused(client: Client, wrong: dict[str, str]) -> None:
    assert save(client, **wrong).status_code == 400
    assert not Profile.objects.exists()


def test_a_time_zone_that_is_no_longer_known_is_utc(user: User, client: Client) -> None:
    Profile.objects.create(user=user, time_zone="Europe/Atlantis")
    assert "Times are in UTC" in client.get("/account/sessions/").content.decode()


def test_a_strangers_page_costs_no_query(db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        Client().get("/login/")


def test_the_profile_is_read_together_with_the_user(
    user: User, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Profile.objects.create(user=user, theme="dark")
    with django_assert_num_queries(2):  # the session, the user
        assert client.get("/account/password/").status_code == 200


def test_time_zones_are_those_of_places() -> None:
    assert {"UTC", "Europe/Berlin", "America/New_York"} <= set(time_zones())
    assert not {"Factory", "Etc/GMT+1", "localtime"} & set(time_zones())
