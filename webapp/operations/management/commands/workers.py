"""`manage.py workers PACK`: the GPU workers of one pack, beside a service that runs another."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations import local
from webapp.operations.supervisor import run_processes


class Command(BaseCommand):
    help = (
        "Run the GPU workers of a pack until Ctrl-C: search, index and re-index, as in the Procfile. The rest of the "
        "service, such as `manage.py up`, runs beside them and is not started."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pack", metavar="PACK", help="a name under FACE_PACKS_DIR, or a folder")

    def handle(self, *args: Any, **options: Any) -> None:
        pack: str = options["pack"]
        if not (pack := pack.rstrip(os.sep)):
            raise CommandError("Which pack? `python manage.py packs list` shows those that are here.")
        environment = local.process_environment(settings.PORTS, settings.DATA_DIR) | local.pack_environment(pack)
        processes = [each for each in local.local_processes(settings.PORTS) if each.name in local.PACK_WORKERS]
        sys.exit(run_processes(processes, environment))
