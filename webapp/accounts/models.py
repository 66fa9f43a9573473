"""API keys, the audit log, and the quotas of users."""

from django.conf import settings
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
