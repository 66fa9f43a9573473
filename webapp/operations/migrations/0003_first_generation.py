"""What was indexed before there were generations is the first one's."""

from itertools import islice
from typing import Any

from django.db import migrations

from tasks.targets import default_target

BATCH_SIZE = 2000


def adopt(apps: Any, schema_editor: Any) -> None:
    photo_model, face_model = apps.get_model("gallery", "Photo"), apps.get_model("gallery", "Face")
    if not photo_model.objects.exists():
        return  # a new installation: the first use makes the first generation
    target = default_target()
    generation = apps.get_model("operations", "Generation").objects.create(
        pack=target.pack, collection=target.collection, state="active", **target.index.model_dump()
    )
    entry_model = apps.get_model("operations", "Entry")
    settled = photo_model.objects.filter(state__in=("indexed", "no_faces", "failed")).iterator(BATCH_SIZE)
    while photos := list(islice(settled, BATCH_SIZE)):
        entry_model.objects.bulk_create(
            entry_model(
                generation=generation,
                photo=photo,
                state=photo.state,
                code=photo.code,
                message=photo.message,
                settled_at=photo.settled_at,
            )
            for photo in photos
        )
    through = face_model.generations.through
    faces = face_model.objects.values_list("id", flat=True).iterator(BATCH_SIZE)
    while ids := list(islice(faces, BATCH_SIZE)):
        through.objects.bulk_create(through(generation_id=generation.id, face_id=face_id) for face_id in ids)


class Migration(migrations.Migration):
    dependencies = [("operations", "0002_generations"), ("gallery", "0004_face_generations")]

    operations = [migrations.RunPython(adopt, migrations.RunPython.noop)]
