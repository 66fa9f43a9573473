"""Write to the audit log."""

import re
from functools import reduce
from operator import or_
from typing import Any, Final

from django.db.models import Q

from webapp.accounts.models import AuditEntry

#: Keys in `detail` whose value is the name of a user.
NAMING_KEYS: Final = ("user", "owner", "from", "to")
#: What is named by its users, and told apart by what follows in parentheses: "Friends (0f6c…)".
_NAMED: Final = re.compile(r"^.*\((?P<id>[^()]+)\)$", re.DOTALL)


def audit(*, actor: str, action: str, subject: str, **detail: Any) -> None:
    """Add an entry, in the caller's transaction. `actor` is a user name or a command."""
    AuditEntry.objects.create(actor=actor, action=action, subject=subject, detail=detail)


def audit_forget(*, username: str, replacement: str) -> None:
    """Take a user's name, and those of their galleries and keys, out of the log, in the caller's transaction.

    What was done, when, and to which ids can still be looked up.
    """
    theirs = reduce(or_, (Q(**{f"detail__{key}": username}) for key in NAMING_KEYS))
    for entry in AuditEntry.objects.filter(Q(actor=username) | Q(subject=username) | theirs):
        named = _NAMED.match(entry.subject)
        if entry.subject == username:
            entry.subject = replacement
        elif named is not None and entry.action.startswith(("key.", "gallery.")):
            entry.subject = named["id"]
        entry.actor = replacement if entry.actor == username else entry.actor
        entry.detail = {key: replacement if value == username else value for key, value in entry.detail.items()}
        entry.save()
