"""API keys: random tokens of which only a hash is stored."""

import base64
import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from tasks import clock
from webapp.accounts.callers import Caller, Scope
from webapp.accounts.models import ApiKey
from webapp.http.problems import Problem

if TYPE_CHECKING:
    from webapp.gallery.models import Gallery

#: What a key begins with, so that people and secret scanners recognise one.
PREFIX: Final = "fq_"
#: 160 random bits: nobody guesses one, so a fast hash of it is safe to store.
RANDOM_BYTES: Final = 20
#: The letters of a key that lists show.
HINT_LENGTH: Final = len(PREFIX) + 6


def key_create(
    *,
    user: User,
    name: str,
    scopes: Collection[Scope],
    galleries: "Collection[Gallery] | None" = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return its row and its token, which nobody can read again.

    `galleries` None stands for all that the user may see, now and later; the caller has checked the others.
    """
    token = PREFIX + base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()
    with transaction.atomic():
        key = ApiKey.objects.create(
            user=user,
            name=name,
            digest=digest_of(token),
            hint=token[:HINT_LENGTH],
            scopes=sorted(scopes),
            is_limited=galleries is not None,
            expires_at=expires_at,
        )
        key.galleries.set(galleries or ())
    return key, token


def caller_of_key(token: str) -> Caller:
    """Return the caller who shows the key. Raises Problem (`bad_key`) for one that is unknown, revoked or expired."""
    now = clock.utcnow()
    living = Q(expires_at=None) | Q(expires_at__gt=now)
    found = ApiKey.objects.filter(living, digest=digest_of(token), user__is_active=True).select_related("user")
    key = found.first()
    if key is None:
        raise Problem("bad_key", "This API key is unknown, revoked or expired.", status=401)
    return Caller(
        user=key.user,
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        gallery_ids=frozenset(key.galleries.values_list("id", flat=True)) if key.is_limited else None,
    )


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
