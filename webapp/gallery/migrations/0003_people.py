import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("gallery", "0002_jobs_tombstones"),
    ]

    operations = [
        migrations.CreateModel(
            name="Person",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "gallery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="people", to="gallery.gallery"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "people",
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(fields=("gallery", "name"), name="person_name_once_per_gallery")
                ],
            },
        ),
        migrations.AddField(
            model_name="face",
            name="person",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="faces",
                to="gallery.person",
            ),
        ),
        migrations.AddField(model_name="face", name="detector", field=models.CharField(blank=True, max_length=64)),
    ]
