"""Write to the audit log."""

from typing import Any

from webapp.accounts.models import AuditEntry


def audit(*, actor: str, action: str, subject: str, **detail: Any) -> None:
    """Add an entry, in the caller's transaction. `actor` is a user name or a command."""
    AuditEntry.objects.create(actor=actor, action=action, subject=subject, detail=detail)
