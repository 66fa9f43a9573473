from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("gallery", "0003_people"),
        ("operations", "0002_generations"),
    ]

    operations = [
        migrations.AddField(
            model_name="face",
            name="generations",
            field=models.ManyToManyField(blank=True, related_name="faces", to="operations.generation"),
        ),
    ]
