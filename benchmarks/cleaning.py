"""What it costs to give a decoder the pixels alone: `python -m benchmarks.cleaning`.

Pictures of 12 megapixels with EXIF, in each format. `clean` is the time to take a file's metadata out, `decode` all of
decoding to upright pixels in sRGB, `share` the one in the other; then decoding the same picture with the profile of a
phone's display, whose colours are converted. The fastest of some runs, in one thread.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from tests import pictures
from worker.config import ImageLimits
from worker.images.cleaning.formats import cleaned
from worker.images.decoding import decode
from worker.images.profiles import coded_profile

SIDES = (4000, 3000)
RUNS = 5
#: Display P3 by its codes in ITU-T H.273.
DISPLAY_P3 = (12, 13)
FORMATS: dict[str, dict[str, object]] = {
    "JPEG": {"quality": 90},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 80},
    "TIFF": {},
    "HEIC": {"quality": 80},
}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    noise = np.random.default_rng(1).integers(-20, 20, (*SIDES[::-1], 3))
    picture = np.clip(pictures.wavy_picture(*SIDES) + noise, 0, 255).astype(np.uint8)
    print("| format | file, MB | clean, ms | decode, ms | share | with a phone's profile, ms |")
    print("|---|---|---|---|---|---|")
    limits = ImageLimits(max_bytes=2**30)
    for file_format, options in FORMATS.items():
        options = {**options, "exif": pictures.exif_orientation(6).tobytes()}
        plain = _file(picture, file_format, options)
        recoloured = _file(picture, file_format, {**options, "icc_profile": coded_profile(*DISPLAY_P3)})
        clean_ms = _fastest_ms(lambda data=plain: cleaned(data))  # type: ignore[misc]
        decode_ms, recoloured_ms = (
            _fastest_ms(lambda data=data: decode(data, limits=limits))  # type: ignore[misc]
            for data in (plain, recoloured)
        )
        print(
            f"| {file_format} | {len(plain) / 1e6:.1f} | {clean_ms:.2f} | {decode_ms:.0f} "
            f"| {clean_ms / decode_ms:.2%} | {recoloured_ms:.0f} |"
        )


def _file(picture: np.ndarray, file_format: str, options: dict[str, object]) -> bytes:
    if file_format == "HEIC":
        return pictures.heic(pictures.Pillow.fromarray(np.ascontiguousarray(picture[:, :, ::-1])), **options)
    return pictures.saved(picture, file_format, **options)


def _fastest_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times) * 1000


if __name__ == "__main__":
    main()
