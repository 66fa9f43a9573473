"""API keys, sessions, the audit log, and what is kept about users: quota, profile, invitation, deletion."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models

from tasks import clock


class AuditEntry(models.Model):
    """An action that others must be able to look up. Rows are added, never changed."""

    at = models.DateTimeField(default=clock.utcnow, editable=False)
    #: A user name or a command, as text: the entry outlives the user.
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=50)
    subject = models.CharField(max_length=200)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "audit log"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor}: {self.action} {self.subject}"


class Quota(models.Model):
    """What one user may have, where that differs from the settings. None: as the settings say; 0: any number."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quota")
    photos = models.PositiveBigIntegerField(null=True, blank=True)
    byte_size = models.PositiveBigIntegerField("bytes", null=True, blank=True)
    galleries = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["user"]

    def __str__(self) -> str:
        return f"quota of {self.user}"


class ApiKey(models.Model):
    """A key with which a program acts for a user. Its token is shown once; revoking it deletes the row."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    #: SHA-256 of the token.
    digest = models.CharField(max_length=64, unique=True)
    #: The token's first letters, to tell keys apart.
    hint = models.CharField(max_length=16)
    #: Values of `Scope`.
    scopes = models.JSONField(default=list)
    #: Whether it works for `galleries` only. Said separately: when the last of them is deleted, it works for none.
    is_limited = models.BooleanField(default=False)
    galleries = models.ManyToManyField("gallery.Gallery", related_name="+", blank=True)
    created = models.DateTimeField(default=clock.utcnow, editable=False)
    #: None: never.
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created", "-id"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"


class Session(AbstractBaseSession):
    """A browser that somebody visits with. Without a user, it belongs to a stranger."""

    # No constraint: a request that ends after its user's row is gone must not fail on saving its session.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="sessions", db_constraint=False
    )
    #: When a request of it was last seen, a few minutes at most ago if one was since.
    seen_at = models.DateTimeField(default=clock.utcnow)

    @classmethod
    def get_session_store_class(cls) -> type[Any]:
        store: type[Any] = import_module(settings.SESSION_ENGINE).SessionStore
        return store


class Profile(models.Model):
    """How pages look to a user. Without a row: as by default."""

    class Theme(models.TextChoices):
        SYSTEM = "", "as the system says"
        LIGHT = "light", "light"
        DARK = "dark", "dark"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="profile")
    #: A name of the time zone database; empty: UTC.
    time_zone = models.CharField(max_length=64, blank=True)
    theme = models.CharField(max_length=5, choices=Theme.choices, blank=True)

    def __str__(self) -> str:
        return f"profile of {self.user}"


class SignUpInvitation(models.Model):
    """Lets one person make an account. Using or revoking it deletes the row."""

    #: SHA-256 of the token in its link.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    #: Whom it is for; nobody but staff reads this.
    note = models.CharField(max_length=100, blank=True)
    created = models.DateTimeField(default=clock.utcnow, editable=False)
    expires_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["-created", "-id"]

    def __str__(self) -> str:
        return f"invitation for {self.note or 'anybody'}"


class AccountDeletion(models.Model):
    """A user who is being deleted, with everything in their galleries. The user's row goes last, and this with it."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="deletion")
    #: Who asked for it: the user, or one of the staff.
    requested_by = models.CharField(max_length=150)
    requested_at = models.DateTimeField(default=clock.utcnow, editable=False)

    class Meta:
        ordering = ["requested_at", "id"]

    def __str__(self) -> str:
        return f"deletion of {self.user}"


class KeptAnswer(models.Model):
    """A writing request that had an Idempotency-Key, and the answer that a repeat of it gets."""

    #: SHA-256 over who sent it and its Idempotency-Key.
    name = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    #: SHA-256 over what was asked: a repeat is the same request.
    request = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    #: None while it is being carried out.
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True)
    content = models.BinaryField(default=bytes, blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        indexes = [
            models.Index(fields=["user", "-started_at"], name="kept_answer_user_started"),
            models.Index(fields=["started_at"], name="kept_answer_started"),
        ]

    def __str__(self) -> str:
        return f"{self.status or 'running'} for {self.user}"
