"""The sample gallery: real pictures that Python packages contain, without importing those packages.

Only `manage.py demo` and tests use this module; a web process never opens a picture. Most pictures come with packages
that facequeue needs anyway. Several photos of the same people come from the tests of the package `face_recognition`,
whose source archive is downloaded once.
"""

import hashlib
import tarfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker.errors import PackDamaged
from worker.recognition.packs.catalogue import KnownFile

#: Package, and path inside it: portraits, groups, and pictures without a face.
PICTURES: Final = (
    ("skimage", "data/astronaut.png"),
    ("insightface", "data/images/t1.jpg"),
    ("insightface", "data/images/Tom_Hanks_54745.png"),
    ("insightface", "data/images/mask_black.jpg"),
    ("insightface", "data/images/mask_blue.jpg"),
    ("insightface", "data/images/mask_green.jpg"),
    ("insightface", "data/images/mask_white.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)
