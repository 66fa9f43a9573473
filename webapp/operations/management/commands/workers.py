"""`manage.py workers PACK`: GPU workers of one pack, next to a service that runs another."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations import local
from webapp.operations.supervisor import run_processes


class Command(BaseCommand):
    help = (
        "Run the Procfile's GPU workers (search, index and reindex) with this pack until Ctrl-C. Nothing else is "
        "started: the rest of the service, for example `manage.py up`, must be running."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pack", metavar="PACK", help="the name of a pack in FACE_PACKS_DIR, or a folder")

    def handle(self, *args: Any, **options: Any) -> None:
        pack: str = options["pack"]
        if not (pack := pack.rstrip(os.sep)):
            raise CommandError("Which pack? `python manage.py packs list` lists them.")
        if problem := local.missing_pack(pack):
            raise CommandError(problem)
        environment = local.process_environment(settings.PORTS, settings.DATA_DIR) | local.pack_environment(pack)
        processes = [each for each in local.local_processes(settings.PORTS) if each.name in local.PACK_WORKERS]
        sys.exit(run_processes(processes, environment))
