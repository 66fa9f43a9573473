"""Read values as dlib's `serialize` writes them (dlib's serialize.h, float_details.h and tensor.h).

An integer is a control byte (bit 7: negative; low four bits: how many bytes follow) and its magnitude, little-endian.
Everything else is made of integers and raw bytes.
"""

import math

import numpy as np
from numpy.typing import NDArray

from worker.errors import PackDamaged

_MOST_BYTES_OF_AN_INT = 8
_MOST_CHARACTERS = 64
#: Exponents that stand for inf, -inf and nan. Such a value is never right here.
_NO_NUMBERS = (32000, 32001, 32002)
#: Far beyond any float32: exponents further out are damage.
_LARGEST_EXPONENT = 256


class DlibReader:
    """The content of one file, read from its beginning to its end.

    Every method raises PackDamaged, with a sentence that names the file, for bytes that are not such a value. None
    allocates more memory than the file is long.
    """

    def __init__(self, content: bytes, file: str) -> None:
        self._content = content
        self._file = file
        self._at = 0

    def damage(self, reason: str) -> PackDamaged:
        """Return the error for content that is not what was expected; `reason` ends the sentence."""
        return PackDamaged(f"{self._file} cannot be converted: byte {self._at:,}: {reason}.")

    def raw(self, count: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= count <= len(self._content) - self._at:
            raise self.damage(f"{count:,} bytes are announced, {len(self._content) - self._at:,} are left")
        self._at += count
        return self._content[self._at - count : self._at]

    def integer(self) -> int:
        """Return an integer of at most 64 bits."""
        control = self.raw(1)[0]
        count = control & 0x0F
        if control & 0x70 or not 1 <= count <= _MOST_BYTES_OF_AN_INT:
            raise self.damage("an integer was expected")
        magnitude = int.from_bytes(self.raw(count), "little")
        return -magnitude if control & 0x80 else magnitude

    def integers(self, count: int) -> tuple[int, ...]:
        """Return that many integers."""
        return tuple(self.integer() for _ in range(count))

    def expect(self, *values: int, what: str) -> None:
        """Read integers that must be these; `what` names them in the sentence."""
        found = self.integers(len(values))
        if found != values:
            raise self.damage(f"{what} is {_listed(found)} where {_listed(values)} was expected")

    def expect_text(self, text: str) -> None:
        """Read a text, such as a layer's name, that must be this one."""
        length = self.integer()
        found = self.raw(min(length, _MOST_CHARACTERS))
        if length != len(found) or found != text.encode():
            raise self.damage(f"{found!r} is found where {text!r} was expected")

    def truth(self) -> bool:
        """Return a truth value, which is written as the character 0 or 1."""
        character = self.raw(1)
        if character not in (b"0", b"1"):
            raise self.damage("a truth value was expected")
        return character == b"1"

    def number(self) -> float:
        """Return a finite number: its mantissa times a power of two."""
        mantissa, exponent = self.integers(2)
        if exponent in _NO_NUMBERS or abs(exponent) > _LARGEST_EXPONENT:
            raise self.damage("a finite number was expected")
        return math.ldexp(float(mantissa), exponent)

    def tensor(self) -> NDArray[np.float32]:
        """Return a tensor's values, float32, in its own shape of four axes."""
        self.expect(2, what="a tensor's version")
        shape = self.integers(4)
        if min(shape) < 0:
            raise self.damage("a tensor's shape is negative")
        values = np.frombuffer(self.raw(4 * math.prod(shape)), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise self.damage("a tensor holds values that are no numbers")
        return values

    def expect_parts(self, size: int, *shapes: tuple[int, ...]) -> None:
        """Read into which parts, of these shapes, the tensor of `size` values before them is divided."""
        for shape in shapes:
            self.expect(1, *shape, what="a part's version and shape")
        if size != sum(math.prod(shape) for shape in shapes):
            raise self.damage(f"a tensor has {size:,} values, which are not those of its parts")

    def end(self) -> None:
        """Check that nothing is left."""
        if left := len(self._content) - self._at:
            raise self.damage(f"{left:,} bytes are left over at the end")


def _listed(values: tuple[int, ...]) -> str:
    return " ".join(map(str, values))
