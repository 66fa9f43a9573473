"""The start of a process: settings that cannot be used end it with one sentence, not with a traceback."""

import sys

from django.conf import settings

from tasks.dictionaries import check_dictionaries
from worker.errors import ConfigError


def check_settings_or_exit() -> None:
    """Read all settings; end the process when an environment variable or a settings dictionary has a bad value."""
    try:
        settings.INSTALLED_APPS  # noqa: B018  reads the settings module
        check_dictionaries()
    except ConfigError as error:
        sys.exit(f"facequeue cannot start: {error}")
