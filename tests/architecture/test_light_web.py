"""A web process holds no model, no Milvus client and no image library."""

import ast
import json
import subprocess
import sys

from django.conf import settings

HEAVY = {"onnxruntime", "insightface", "pymilvus", "cv2", "skimage", "milvus_lite", "faiss"}

#: Imports what a serving process has imported, runs its lifespan, and touches every URL module.
START_WEB = """
import asyncio, json, sys
from webapp.config.asgi import application
from django.urls import get_resolver
get_resolver().url_patterns

async def lifespan():
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    async def receive():
        return next(messages)
    async def send(message):
        assert message["type"].endswith("complete"), message
    await application({"type": "lifespan"}, receive, send)

asyncio.run(lifespan())
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_a_web_process_has_none_of_the_heavy_modules():
    done = subprocess.run(
        [sys.executable, "-c", START_WEB], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "webapp" in loaded
    assert loaded & HEAVY == set()


def test_the_import_contracts_are_kept():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_tasks_knows_no_orm():
    """import-linter cannot look inside an external package, so this reads the import statements."""
    allowed = {"django.conf", "django.core.files.storage"}
    for path in (settings.BASE_DIR / "tasks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            foreign = {name for name in names if name.startswith("django")} - allowed
            assert not foreign, f"{path.name} imports {foreign}"
