from typing import Any

from django.apps import AppConfig
from django.core import checks

from tasks.dictionaries import check_dictionaries
from worker.errors import ConfigError


class OperationsConfig(AppConfig):
    name = "webapp.operations"

    def ready(self) -> None:
        checks.register(_dictionaries_check)


def _dictionaries_check(**_: Any) -> list[checks.CheckMessage]:
    """Django's system check of the settings dictionaries, for `manage.py check` and commands run by django-admin."""
    try:
        check_dictionaries()
    except ConfigError as error:
        return [checks.Error(str(error), id="facequeue.E001")]
    return []
