"""The audit log, and the quotas of users."""

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
