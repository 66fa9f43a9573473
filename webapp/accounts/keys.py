"""API keys: random tokens of which only a hash is stored."""

import base64
import logging
import re
import secrets
import threading
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cachetools import TTLCache
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet

from tasks import clock
from webapp.accounts.audit import audit
from webapp.accounts.callers import Caller, Scope
from webapp.accounts.models import ApiKey
from webapp.accounts.tokens import digest_of
from webapp.http.names import cleaned_name
from webapp.http.problems import Problem, Unauthenticated

if TYPE_CHECKING:
    from webapp.gallery.models import Gallery

logger = logging.getLogger(__name__)

#: What a key begins with, so that people and secret scanners recognise one.
PREFIX: Final = "fq_"
#: 160 random bits.
RANDOM_BYTES: Final = 20
#: What follows the prefix: the random bytes in base 32 (RFC 4648), which fill 32 letters.
_TOKEN: Final = re.compile(PREFIX + "[a-z2-7]{32}")
#: The letters of a key that lists show.
HINT_LENGTH: Final = len(PREFIX) + 6
#: How many keys a user may have, expired ones included.
MOST_KEYS: Final = 100
#: `last_used_at` is at most this old while a key is in use.
NOTED_SECONDS: Final = 60.0

#: The keys whose use this process has noted, or is noting: while the database is locked, one thread waits, not all.
_noted: TTLCache[str, bool] = TTLCache(20_000, NOTED_SECONDS)
_noting = threading.Lock()


def key_create(
    *,
    user: User,
    name: str,
    scopes: Collection[Scope],
    galleries: "Collection[Gallery] | None" = None,
    expires_at: datetime | None = None,
    actor: str = "",
) -> tuple[ApiKey, str]:
    """Make a key; return its row and its token, which nobody can read again.

    `galleries` None stands for all that the user may see, now and later; the caller has checked the others. `actor` is
    who makes it, for the audit log; by default the user. Raises Problem.
    """
    if not user.is_active:
        raise Problem("user_inactive", f"{user.get_username()} may not log in, so no key would work.", status=409)
    _check_scopes(user, scopes, is_limited=galleries is not None)
    if galleries is not None and not galleries:
        raise Problem("key_galleries", "Choose the galleries that the key is limited to.", status=422)
    if expires_at is not None and expires_at <= clock.utcnow():
        raise Problem("key_expiry", "A key must expire in the future.", status=422)
    longest = ApiKey._meta.get_field("name").max_length or 0
    name = cleaned_name(name, longest=longest, code="key_name", what="The name of a key")
    token = PREFIX + base64.b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower()
    with transaction.atomic():
        get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)  # requests at the same time take turns
        if ApiKey.objects.filter(user=user).count() >= MOST_KEYS:
            raise Problem("too_many_keys", f"{MOST_KEYS} keys are the most; please revoke one first.", status=409)
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
        audit(
            actor=actor or user.get_username(),
            action="key.create",
            subject=str(key),
            user=user.get_username(),
            scopes=key.scopes,
            galleries=None if galleries is None else [str(gallery.pk) for gallery in galleries],
            expires_at=expires_at and expires_at.isoformat(),
        )
    return key, token


def key_revoke(*, key: ApiKey, actor: str) -> None:
    """Delete the key: from now on it lets nobody in."""
    with transaction.atomic():
        deleted, _ = ApiKey.objects.filter(pk=key.pk).delete()
        if deleted:
            audit(actor=actor, action="key.revoke", subject=str(key), user=key.user.get_username())


def keys_of(user: User) -> QuerySet[ApiKey]:
    """Return the user's keys, newest first."""
    return ApiKey.objects.filter(user=user)


def living_keys() -> QuerySet[ApiKey]:
    """Return the keys that let somebody in now."""
    living = Q(expires_at=None) | Q(expires_at__gt=clock.utcnow())
    return ApiKey.objects.filter(living, user__is_active=True)


def caller_of_key(token: str) -> Caller:
    """Return the caller who shows the key. Costs one query, or two for a key that is limited to galleries.

    Raises Problem (`bad_key`) for one that is unknown, revoked or expired.
    """
    key = living_keys().filter(digest=digest_of(token)).select_related("user").first() if is_token(token) else None
    if key is None:
        raise bad_key()
    _note_use(key)
    return Caller(
        user=key.user,
        scopes=frozenset(Scope(scope) for scope in key.scopes),
        gallery_ids=frozenset(key.galleries.values_list("id", flat=True)) if key.is_limited else None,
        key_id=key.pk,
    )


def user_id_of_key(digest: str) -> int | None:
    """Return the id of the user whose key has this digest, for the door: its use is not noted. None for no such key."""
    return living_keys().filter(digest=digest).values_list("user_id", flat=True).first()


def bad_key() -> Problem:
    return Unauthenticated("bad_key", "This API key is unknown, revoked or expired.")


def is_token(token: str) -> bool:
    """Tell whether a key may look like this; any other needs no query."""
    return _TOKEN.fullmatch(token) is not None


def _note_use(key: ApiKey) -> None:
    """Write down that the key is used, at most once a minute."""
    now = clock.utcnow()
    before = now - timedelta(seconds=NOTED_SECONDS)
    if key.last_used_at is not None and key.last_used_at > before:
        return
    with _noting:
        if key.digest in _noted:
            return
        _noted[key.digest] = True
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=before)  # another process may have been quicker
    try:
        ApiKey.objects.filter(unnoted, pk=key.pk).update(last_used_at=now)
    except OperationalError as error:  # a database that takes no writes still answers searches
        logger.warning("The use of an API key could not be noted: %s", error)


def _check_scopes(user: User, scopes: Collection[Scope], *, is_limited: bool) -> None:
    if not scopes:
        raise Problem("key_scopes", "Choose what the key may be used for.", status=422)
    if Scope.ADMIN not in scopes:
        return
    if not user.is_staff:
        raise Problem("key_scopes", f"Only staff may have keys with the scope “{Scope.ADMIN}”.", status=422)
    if is_limited:
        sentence = f"The scope “{Scope.ADMIN}” concerns the whole service; such a key cannot be limited to galleries."
        raise Problem("key_scopes", sentence, status=422)
