"""People: identities in a gallery."""

import uuid

from django.db import models

from tasks import clock


class Person(models.Model):
    """A named identity in a gallery, with its faces."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gallery = models.ForeignKey("gallery.Gallery", on_delete=models.CASCADE, related_name="people")
    name = models.CharField(max_length=100)
    created = models.DateTimeField(default=clock.utcnow, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "people"
        constraints = [models.UniqueConstraint(fields=["gallery", "name"], name="person_name_once_per_gallery")]

    def __str__(self) -> str:
        return self.name
