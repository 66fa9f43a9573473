"""`manage.py up`: migrate, and run every process of the Procfile until Ctrl-C."""

import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from tasks.dictionaries import face_config
from webapp.operations import local
from webapp.operations.remembered import remember
from webapp.operations.starting import announce_when_ready
from webapp.operations.supervisor import run_processes


class Command(BaseCommand):
    help = (
        "Run every process of the Procfile on this machine: Redis, redis-cache, Milvus Lite, the web, the workers, "
        "beat and Flower. A process that ends is started again. REDIS_URL, REDIS_CACHE_URL, and MILVUS_URI or "
        "MILVUS_HOST name services elsewhere; the local process is then not started. PORT is the port of the pages; "
        "the other ports follow from it. Commands in another terminal find this service."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        processes = local.local_processes(settings.PORTS)
        if problem := local.taken_ports(processes) or local.missing_pack(face_config().pack):
            raise CommandError(problem)
        call_command("migrate", verbosity=0, interactive=False)
        self._say(f"Pages: http://127.0.0.1:{settings.PORTS.web}/  Flower: http://127.0.0.1:{settings.PORTS.flower}/")
        environment = local.process_environment(settings.PORTS, settings.DATA_DIR)
        with remember(port=settings.PORTS.web, data_dir=settings.DATA_DIR) as is_remembered:
            if not is_remembered:
                self._say(
                    "Another `manage.py up` runs from this checkout, and commands in another terminal find that one. "
                    f"For this one, set PORT={settings.PORTS.web} and FACEQUEUE_DATA_DIR={settings.DATA_DIR}."
                )
            status = run_processes(processes, environment, on_start=lambda: announce_when_ready(self._say))
        sys.exit(status)

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
