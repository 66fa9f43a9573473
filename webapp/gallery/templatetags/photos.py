"""How templates write what is said of photos: places in a picture, and the time zone of a camera."""

from django import template

register = template.Library()


@register.filter
def percent_of(pixels: float, whole: float | None) -> str:
    """Return a length in a picture as a percentage of its side, for SVG: the same at whatever size it is shown.

    "0%" where the side is not known.
    """
    return f"{100 * pixels / whole:.3f}%" if whole else "0%"


@register.filter
def utc_offset(minutes: int | None) -> str:
    """Return a time zone as people write it, "UTC+05:30"; empty for None."""
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"
