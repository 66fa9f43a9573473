"""The door's table and the addresses that there are."""

from uuid import UUID

import pytest
from django.urls import resolve

from webapp.config.routes import LOGIN, MACHINES, OTHER, PHOTOS, QUERY, ROUTES
from webapp.http.routes import Route

ID = UUID(int=1)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/login/", LOGIN),
        ("/admin/login/", LOGIN),
        ("/health/live", MACHINES),
        ("/health/ready", MACHINES),
        ("/metrics", MACHINES),
        (f"/galleries/{ID}/search/", QUERY),
        (f"/api/v1/galleries/{ID}/searches", QUERY),
        ("/api/v1/searches", QUERY),
        ("/api/v1/verify", QUERY),
        ("/api/v1/detect", QUERY),
        (f"/galleries/{ID}/photos/", PHOTOS),
        (f"/api/v1/galleries/{ID}/photos", PHOTOS),
        ("/", OTHER),
        ("/logout/", OTHER),
        (f"/photos/{ID}/delete/", OTHER),
        ("/api/v1/searches/a-ticket", OTHER),
    ],
)
def test_each_address_has_its_rules(path: str, route: Route) -> None:
    assert ROUTES.find(path) is route
    assert resolve(path), "there is such an address"


@pytest.mark.parametrize("path", ["//login/", "/login/x", "/x/login/", "/static", "/api/v1/searches/", "/login/\n"])
def test_an_address_that_looks_like_another_gets_no_rules_but_the_strictest(path: str) -> None:
    assert ROUTES.find(path) is OTHER
    assert not OTHER.is_open
