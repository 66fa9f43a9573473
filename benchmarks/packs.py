"""Packs with the real architectures and interfaces of InsightFace's, random weights, and faces where a scene puts them.

`python -m benchmarks.packs FOLDER [--size small] [--all-models]`. The weights are untrained: a detector fires
where it sees a marker colour, and an embedding distinguishes pictures but not people. They cost as much as real ones.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Literal

import onnx

from benchmarks import architectures
from benchmarks.scenes import scene

__all__ = ["Size", "cached_pack", "make_pack", "scene"]

Size = Literal["tiny", "small", "large"]

CACHE = Path(__file__).resolve().parent.parent / "var" / "bench-packs"
#: Increment when a graph changes, so that no benchmark runs on an old one.
_CACHE_VERSION = 1
#: The tiny pack is the small one with this many times fewer channels.
_TINY = 8


def make_pack(folder: Path, size: Size, *, seed: int = 1, all_models: bool = False) -> Path:
    """Write the pack's ONNX files into the folder, and return it.

    `small` is built like buffalo_s and `large` like buffalo_l; `tiny` is the small one with fewer channels, for
    unit tests. `all_models` adds the landmark and attribute models, which FaceAnalysis runs by default.
    """
    thin = _TINY if size == "tiny" else 1
    if size == "large":
        models = {"det_10g": architectures.scrfd_10g, "w600k_r50": architectures.iresnet50}
    else:
        models = {"det_500m": architectures.scrfd_500m, "w600k_mbf": architectures.mobilefacenet}
    if all_models:
        models["1k3d68"] = architectures.landmarks_3d
        models["2d106det"] = architectures.landmarks_2d
        models["genderage"] = architectures.gender_age
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, build) in enumerate(models.items()):
        onnx.save_model(build(seed=seed + number, thin=thin), str(folder / f"{name}.onnx"))
    return folder


def cached_pack(size: Size, all_models: bool = False) -> Path:
    """Return the folder of that pack; build it on first use."""
    folder = CACHE / f"{size}{'-all' if all_models else ''}-{_CACHE_VERSION}"
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as new:
            built = make_pack(Path(new) / "pack", size, all_models=all_models)
            try:
                os.rename(built, folder)
            except OSError:
                if not folder.exists():  # else another process was faster
                    raise
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the ONNX files")
    parser.add_argument("--size", choices=["tiny", "small", "large"], default="small", help="default: small")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives other weights (default 1)")
    parser.add_argument("--all-models", action="store_true", help="the landmark and attribute models as well")
    options = parser.parse_args()
    folder = make_pack(options.folder, options.size, seed=options.seed, all_models=options.all_models)
    for file in sorted(folder.glob("*.onnx")):
        print(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
