"""`manage.py doctor`: check each dependency, and say what to do about what is wrong."""

import asyncio
import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks.health.checks import HealthReport
from tasks.health.findings import Finding
from tasks.web.search_client import open_search_client
from webapp.generations.selectors import ActiveTarget
from webapp.operations.health import thorough_findings


class Command(BaseCommand):
    help = "Check every dependency of the running service. Prints one line each, and what to do if it is wrong."
    # A database that is down is one of the findings, so nothing may need it before the first line.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as one JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = thorough_findings(asyncio.run(_report()))
        if options["json"]:
            found = list(findings)
            self.stdout.write(json.dumps([asdict(finding) for finding in found], indent=2))
        else:
            found = [self._show(finding) for finding in findings]
        if not all(finding.ok for finding in found):
            raise CommandError(f"{sum(not finding.ok for finding in found)} of {len(found)} checks failed.")

    def _show(self, finding: Finding) -> Finding:
        mark = self.style.SUCCESS("ok   ") if finding.ok else self.style.ERROR("WRONG")
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        self.stdout.write(f"{mark}  {finding.name:<24} {finding.detail}{remedy}")
        self.stdout.flush()
        return finding


async def _report() -> HealthReport:
    async with open_search_client(active_target=ActiveTarget()) as client:
        return await client.health_check()
