"""`manage.py up`: migrate and run every process of the Procfile until Ctrl-C."""

import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from webapp.operations import local
from webapp.operations.supervisor import run_processes


class Command(BaseCommand):
    help = (
        "Run every process of the Procfile on this machine: Redis, redis-cache, Milvus Lite, the web, the workers, "
        "beat and Flower. With REDIS_URL, REDIS_CACHE_URL, and MILVUS_URI or MILVUS_HOST you name servers that run "
        "elsewhere; the local process is then not started. PORT is the pages' port, the other ports follow from it. A "
        "process that ends is started again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        processes = local.local_processes(settings.PORTS)
        if problem := local.taken_ports(processes):
            raise CommandError(problem)
        call_command("migrate", verbosity=0, interactive=False)
        self.stdout.write(
            f"Pages: http://127.0.0.1:{settings.PORTS.web}/  Flower: http://127.0.0.1:{settings.PORTS.flower}/"
        )
        self.stdout.flush()
        environment = local.process_environment(settings.PORTS, settings.DATA_DIR)
        sys.exit(run_processes(processes, environment))
