"""How pages look to their reader: the theme, and the time zone of the times that they show."""

from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from webapp.accounts.models import Profile
from webapp.http.problems import Problem

UTC_NAME: Final = "UTC"


@cache
def time_zones() -> tuple[str, ...]:
    """Return the names that people may choose from: those of places, and UTC."""
    return (UTC_NAME, *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def profile_of(user: AbstractBaseUser | AnonymousUser) -> Profile:
    """Return the user's profile, without a query for the user of a request (PasswordBackend reads both at once)."""
    return getattr(user, "profile", None) or Profile()


def profile_change(*, user_id: int, time_zone: str, theme: str) -> Profile:
    """Save how pages are to look. Raises Problem for an unknown time zone or theme."""
    if time_zone not in time_zones():
        raise Problem("unknown_time_zone", "There is no such time zone.", status=400)
    if theme not in Profile.Theme.values:
        raise Problem("unknown_theme", "There is no such theme.", status=400)
    values = {"time_zone": time_zone, "theme": theme}
    profile, _ = Profile.objects.update_or_create(user_id=user_id, defaults=values)
    return profile


def appearance(request: HttpRequest) -> dict[str, Any]:
    """Context processor: gives the page its theme, and shows its times in its reader's time zone.

    Rendering happens in a context of the request's own, so no other request sees this time zone.
    """
    profile = profile_of(getattr(request, "user", AnonymousUser()))
    if profile.time_zone in time_zones():  # it may be of an earlier release of the time zone database
        timezone.activate(ZoneInfo(profile.time_zone))
    else:
        timezone.deactivate()
    return {"theme": profile.theme, "time_zone": timezone.get_current_timezone_name()}
