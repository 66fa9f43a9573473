"""The processes of the Procfile on this machine, with their environment and ports."""

import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from honcho.environ import parse_procfile

from tasks.dictionaries import face_config, milvus_is_local, pack_name
from tasks.roles import PACK_ROLES, ROLES
from webapp.operations.flower import FLOWER_USER, flower_password
from webapp.operations.ports import LocalPorts
from webapp.operations.private_files import private_folder
from worker.config import bad_pack_name, is_pack_name
from worker.recognition.packs.inventory import pack_entry

#: The variable that says where each Redis server is.
REDIS_VARIABLES: Final = {"redis": "REDIS_URL", "redis-cache": "REDIS_CACHE_URL"}
#: The processes of a pack: there may be several packs at a time, each with its own workers.
PACK_WORKERS: Final = tuple(role.process for role in PACK_ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalProcess:
    """One line of the Procfile. `port` is None when the process listens on none."""

    name: str
    command: str
    port: int | None


def local_processes(ports: LocalPorts) -> list[LocalProcess]:
    """Return the Procfile's processes, without those that the settings say are elsewhere."""
    listens = {
        "redis": ports.redis,
        "redis-cache": ports.redis_cache,
        "milvus": ports.milvus,
        "web": ports.web,
        "flower": ports.flower,
    }
    procfile = parse_procfile((settings.BASE_DIR / "Procfile").read_text())
    return [
        LocalProcess(name=name, command=command, port=listens.get(name))
        for name, command in procfile.processes.items()
        if not _is_elsewhere(name)
    ]


def _is_elsewhere(process: str) -> bool:
    if process == "milvus":
        return not milvus_is_local()
    return REDIS_VARIABLES.get(process) in settings.EXTERNAL_REDIS


def process_environment(ports: LocalPorts, data_dir: Path) -> dict[str, str]:
    """Return the environment of the Procfile's processes: that of this process, and what their command lines use.

    Creates the folders that they need under `data_dir`.
    """
    for folder in ("redis", "milvus", "photos", "packs"):
        private_folder(data_dir / folder)
    here = Path(sys.executable).parent  # the programs of the virtual environment first, activated or not
    defaults = {
        **{role.concurrency_variable: str(role.concurrency) for role in ROLES},
        "FLOWER_READ_ONLY": "true",
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{flower_password(data_dir)}",
        "PYTHONUNBUFFERED": "1",
        # Otherwise each model run and BLAS call in each worker thread would start a thread per core.
        "OMP_NUM_THREADS": "1",
        # The C library keeps one heap per thread: freed pictures would take half as much memory again, and ever more.
        "MALLOC_ARENA_MAX": "2",
    }
    derived = {
        "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH")))),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "webapp.config.settings"),
        "FACEQUEUE_DATA_DIR": str(data_dir),
        "PACK_NAME": pack_name(),
        "PORT": str(ports.web),
        "REDIS_PORT": str(ports.redis),
        "REDIS_CACHE_PORT": str(ports.redis_cache),
        "MILVUS_LITE_PORT": str(ports.milvus),
        "FLOWER_PORT": str(ports.flower),
    }
    # A variable that is empty is not set.
    given = {name: value for name, value in os.environ.items() if value or name not in defaults}
    return defaults | given | derived


def pack_environment(pack: str) -> dict[str, str]:
    """Return the variables that give a GPU worker this pack. `pack` is a name, or the path of a folder."""
    return {"FACE_PACK": pack, "PACK_NAME": Path(pack).name}


def taken_ports(processes: list[LocalProcess]) -> str:
    """Say in one sentence which ports are in use already; empty when all are free."""
    taken = [process for process in processes if process.port is not None and _is_taken(process.port)]
    if not taken:
        return ""
    ports = ", ".join(f"{process.port} ({process.name})" for process in taken)
    return f"Already in use: port {ports}. Stop the program that listens there, or set another PORT."


def missing_pack(pack: str) -> str:
    """Say in one sentence that the pack is not on this machine; empty when it is. `pack` is as in `pack_environment`.

    Of a converted pack every byte is compared with its manifest; of any other only names and sizes, as far as they are
    published: whether those files are the right ones, a worker says when it has read them.
    """
    if not is_pack_name(Path(pack).name):
        return bad_pack_name(Path(pack).name)
    packs_dir = face_config().packs_dir
    entry = pack_entry(packs_dir, pack, pack)
    if entry is None or (entry.known is None and not entry.is_here):
        return f"There is no pack {pack!r}. `manage.py packs` lists those in {packs_dir} and those that can be fetched."
    if entry.known is None or entry.state == "installed":
        return ""
    option = " --force" if entry.is_here else ""
    return f"The pack {entry.name} is {entry.state}: `manage.py packs fetch {entry.name}{option}` installs it."


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # A port in TIME_WAIT after a restart is free for a server; one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
