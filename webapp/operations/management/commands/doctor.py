"""`manage.py doctor`: check each dependency, and say what to do about what is wrong."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.operations.diagnosis import Finding, findings


class Command(BaseCommand):
    help = "Check every dependency of the running service. Prints one line each, and what to do if it is wrong."
    # A database that is down is one of the findings, so nothing may need it before the first line.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as one JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json"]:
            found = list(findings())
            self.stdout.write(json.dumps([asdict(finding) for finding in found], indent=2))
        else:
            found = [self._show(finding) for finding in findings()]
        if not all(finding.is_ok for finding in found):
            raise CommandError(f"{sum(not finding.is_ok for finding in found)} of {len(found)} checks failed.")

    def _show(self, finding: Finding) -> Finding:
        mark = self.style.SUCCESS("ok   ") if finding.is_ok else self.style.ERROR("WRONG")
        remedy = f"  -> {finding.remedy}" if finding.remedy else ""
        self.stdout.write(f"{mark}  {finding.name:<16} {finding.detail}{remedy}")
        self.stdout.flush()
        return finding
