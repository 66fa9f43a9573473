"""Writing to the audit log."""

from typing import Any

from webapp.accounts.models import AuditEntry


def audit(*, actor: str, action: str, subject: str, **detail: Any) -> None:
    """Write down who did what, in the caller's transaction."""
    AuditEntry.objects.create(actor=actor, action=action, subject=subject, detail=detail)
