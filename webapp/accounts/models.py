"""The audit log."""

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
