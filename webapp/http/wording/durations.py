"""Durations in words. Templates have these functions as filters: `{% load durations %}`."""

from django.template import Library

register = Library()

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@register.filter
def duration(seconds: float | None) -> str:
    """Return "45 s", "3 min 20 s", "2 h 20 min" or "3 days 4 h", whichever fits; "" for None."""
    if seconds is None:
        return ""
    whole = round(max(seconds, 0.0))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _parts((whole // MINUTE, "min"), (whole % MINUTE, "s"))
    minutes = round(whole / MINUTE)
    if minutes < DAY // MINUTE:
        return _parts((minutes // 60, "h"), (minutes % 60, "min"))
    hours = round(whole / HOUR)
    days = hours // 24
    return _parts((days, "day" if days == 1 else "days"), (hours % 24, "h"))


@register.filter
def time_left(seconds: float | None) -> str:
    """Return "about 2 h 20 min left", no more exact than such an estimate can be; "" for None."""
    if seconds is None:
        return ""
    if seconds < MINUTE:
        return "less than a minute left"
    step = MINUTE if seconds < HOUR else 5 * MINUTE if seconds < DAY else HOUR
    return f"about {duration(round(seconds / step) * step)} left"


@register.filter
def pace(rate: float) -> str:
    """Return "4.2 photos per second", or for a slow pace "3 photos per minute" or "per hour"."""
    if rate >= 0.1:
        return f"{rate:.1f} photos per second"
    return f"{rate * MINUTE:.0f} photos per minute" if rate * MINUTE >= 1.5 else f"{rate * HOUR:.0f} photos per hour"


def _parts(*parts: tuple[int, str]) -> str:
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
