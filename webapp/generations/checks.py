"""Reads of consistency checks."""

from typing import Any

from webapp.generations.models import Check, Generation


def check_summary(generation: Generation) -> dict[str, Any] | None:
    """Return the generation's latest check, as its page, the API and `manage.py reindex` show it; None without one."""
    check = Check.objects.filter(generation=generation).first()
    if check is None:
        return None
    kinds = ("missing", "orphaned", "duplicated")
    counts: dict[str, int] = {kind: getattr(check, f"{kind}_count") for kind in kinds}
    return {
        "is_repair": check.is_repair,
        "is_finished": check.finished_at is not None,
        "is_consistent": not any(counts.values()),
        "started_at": check.started_at,
        "finished_at": check.finished_at,
        "face_count": check.face_count,
        **{f"{kind}_count": count for kind, count in counts.items()},
        **{kind: getattr(check, kind) for kind in kinds},
    }
