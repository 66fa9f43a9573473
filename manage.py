#!/usr/bin/env python
"""Run a management command: `python manage.py help` lists them."""

import os
import sys

from webapp.http.commands import run_command_line
from webapp.operations.remembered import remembered_environment

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    os.environ.update(remembered_environment(os.environ))
    run_command_line(sys.argv)
