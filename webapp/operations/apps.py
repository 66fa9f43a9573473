from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks

from tasks.dictionaries import check_dictionaries
from worker.errors import ConfigError


class OperationsConfig(AppConfig):
    name = "webapp.operations"

    def ready(self) -> None:
        checks.register(_dictionaries_check)
        checks.register(_transport_check, checks.Tags.security, deploy=True)


def _dictionaries_check(**_: Any) -> list[checks.CheckMessage]:
    """Django's system check of the settings dictionaries, for `manage.py check` and commands run by django-admin."""
    try:
        check_dictionaries()
    except ConfigError as error:
        return [checks.Error(str(error), id="facequeue.E001")]
    return []


def _transport_check(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check --deploy` says of a service that browsers do not reach by https."""
    if settings.PUBLIC_URL.startswith("https:"):
        return []
    hint = "Set PUBLIC_URL to the https address of the proxy in front of it: docs/operations.md says what follows."
    return [checks.Warning("Passwords and photos travel unencrypted.", hint=hint, id="facequeue.W001")]
