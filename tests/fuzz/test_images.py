"""Thousands of damaged pictures: each becomes a picture within the limits or an ImageError, soon and in little memory.

They are decoded in a process of their own, so that a crash, a hang or a memory blow-up has its input's number:
`python -m tests.fuzz.mutations SEED > file` makes that input again.
"""

import multiprocessing
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.fuzz.mutations import mutated, originals
from worker.config import ImageLimits
from worker.errors import ImageError
from worker.images.decoding import decode

LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=4_000_000)
ENOUGH_PIXELS = 640
#: Processor time for one picture; and how long a process may do nothing at all, on a machine that is busy.
MOST_SECONDS, MOST_IDLE_SECONDS = 2.0, 60.0
#: What a pixel takes in the costliest format (images/cost.py), and what the libraries keep.
MOST_BYTES = LIMITS.max_pixels * 21 + 64_000_000
#: Pillow lays out a GIF's first frame, at a byte a pixel, before anybody can look at its size; this is its own limit.
GIF_FRAME_BYTES = 179_000_000
CODES = {"not_an_image", "image_empty", "image_unsupported", "image_truncated", "image_too_large"}


def test_every_original_is_a_good_picture() -> None:
    assert len(originals()) > 50
    for data in originals():
        assert decode(data, limits=LIMITS).pixels.size


def test_a_number_always_makes_the_same_picture() -> None:
    assert [mutated(seed) for seed in range(30)] == [mutated(seed) for seed in range(30)]


def test_damaged_pictures_do_no_harm() -> None:
    outcomes = outcomes_of(range(1000))

    assert set(outcomes) - CODES == {"picture"}
    assert {"not_an_image", "image_truncated", "image_too_large"} < set(outcomes)
    assert outcomes["picture"] > 100


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_very_many_damaged_pictures_do_no_harm() -> None:
    outcomes = outcomes_of(range(1000, 21_000))

    print(dict(outcomes.most_common()))
    assert set(outcomes) - CODES == {"picture"}


@pytest.mark.parametrize("harm", ["crash", "hang", "memory", "wrong error"])
def test_harm_is_seen_and_has_its_number(harm: str) -> None:
    with pytest.raises(AssertionError, match="seed 7"):
        outcomes_of(range(5, 9), harm=harm)


def outcomes_of(seeds: range, *, harm: str = "") -> Counter[str]:
    """Decode the damaged pictures of these numbers and count what came out; fails at the first that does harm."""
    outcomes: Counter[str] = Counter()
    with _decoder(harm) as (process, pipe):
        before_bytes = pipe.recv()
        for seed in seeds:
            pipe.send(seed)
            outcome, peak_bytes = _answer(process, pipe, seed)
            assert outcome in CODES | {"picture"}, f"seed {seed}: {outcome}"
            taken_bytes = peak_bytes - before_bytes
            assert taken_bytes <= MOST_BYTES or _is_excused(seed, taken_bytes), (
                f"seed {seed} took {taken_bytes:,} bytes"
            )
            outcomes[outcome] += 1
    return outcomes


def _is_excused(seed: int, taken_bytes: int) -> bool:
    return mutated(seed).startswith(b"GIF8") and taken_bytes <= MOST_BYTES + GIF_FRAME_BYTES


def _answer(process: BaseProcess, pipe: Connection, seed: int) -> tuple[str, int]:
    watched = psutil.Process(process.pid)
    used_before, waited_seconds = sum(watched.cpu_times()[:2]), 0.0
    try:
        while not pipe.poll(0.5):
            waited_seconds += 0.5
            used_seconds = sum(watched.cpu_times()[:2]) - used_before
            assert used_seconds <= MOST_SECONDS, f"seed {seed} takes longer than {MOST_SECONDS} s"
            assert waited_seconds <= MOST_IDLE_SECONDS, f"seed {seed} hangs"
        answer: tuple[str, int] = pipe.recv()
    except (EOFError, ConnectionError, psutil.Error) as error:
        process.join(10)
        raise AssertionError(f"seed {seed} ended the process with {process.exitcode}") from error
    return answer


@contextmanager
def _decoder(harm: str) -> Iterator[tuple[BaseProcess, Connection]]:
    """Start the process that decodes; yield it and the pipe that takes numbers and gives answers."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_decode_on_demand, args=(there, harm), daemon=True)
    process.start()
    there.close()
    try:
        yield process, here
    finally:
        here.close()
        process.kill()
        process.join()


def _decode_on_demand(pipe: Connection, harm: str) -> None:
    warnings.simplefilter("ignore")
    for data in originals():  # loads what the formats need
        decode(data, limits=LIMITS)
    pipe.send(_peak_bytes())
    while True:
        seed = pipe.recv()
        _forget_peak()
        if seed == 7 and harm:
            _do(harm)
        pipe.send((_outcome(seed, harm), _peak_bytes()))


def _outcome(seed: int, harm: str) -> str:
    try:
        if seed == 7 and harm == "wrong error":
            raise ValueError(harm)
        image = decode(mutated(seed), limits=LIMITS, enough_pixels=ENOUGH_PIXELS if seed % 2 else None)
    except ImageError as error:
        return error.code
    except BaseException as error:
        return repr(error)
    height, width = image.pixels.shape[:2]
    is_sound = (
        image.pixels.dtype == np.uint8
        and image.pixels.shape == (height, width, 3)
        and image.width * image.height <= LIMITS.max_pixels
        and image.width * image.scale <= width < image.width * image.scale + 1
        and image.height * image.scale <= height < image.height * image.scale + 1
    )
    return "picture" if is_sound else f"an unsound picture of {width} x {height}"


def _do(harm: str) -> None:
    if harm == "crash":
        os.abort()
    if harm == "hang":
        while True:
            pass
    if harm == "memory":
        np.ones(MOST_BYTES + GIF_FRAME_BYTES + 50_000_000, np.uint8)


def _peak_bytes() -> int:
    """Return the most memory that this process has had since _forget_peak(); 0 where the system is not Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024


def _forget_peak() -> None:
    """Let the peak be what there is now (proc(5): 5 written to clear_refs)."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
