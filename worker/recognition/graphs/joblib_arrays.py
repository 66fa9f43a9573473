"""Read a list of float32 arrays that joblib pickled into an LZ4 frame, without unpickling it.

joblib puts an array's bytes into the middle of the pickle, right behind the BUILD of the `NumpyArrayWrapper` that
describes it (joblib/numpy_pickle.py); with `numpy_array_alignment_bytes`, a byte with the padding's length and the
padding come first. We walk over the pickle's operations with `pickletools`, which imports and calls nothing, and keep
a stack of plain values. Only the few operations are known that such a list is made of.
"""

import io
import math
import pickletools
from typing import Any

import lz4.frame
import numpy as np
from numpy.typing import NDArray

from worker.errors import PackDamaged

#: What a pickle may name. The names stay names: nothing of them is imported.
_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_ARRAY = "numpy.ndarray"
_TYPE = "numpy.dtype"
#: A convolution's kernel has four axes.
_MOST_AXES = 4
#: What stands on the stack for the beginning of a tuple, list or dictionary, and for the type float32.
_MARK = object()
_FLOAT32 = object()


class _Unexpected(Exception):
    """Content that is not such a list; the text ends a sentence that begins with the file's name."""


def read_arrays(content: bytes, file: str, *, most_bytes: int) -> list[NDArray[np.float32]]:
    """Return the arrays in their order; `file` is its name, for the errors, `most_bytes` bounds what is unpacked.

    Raises PackDamaged for anything but a list of float32 arrays in one LZ4 frame.
    """
    try:
        return _Pickle(_unpacked(content, most_bytes)).arrays()
    except _Unexpected as error:
        raise PackDamaged(f"{file} cannot be converted: {error}.") from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        # lz4's and pickletools' errors, and those of operations on values that are not what they expect
        raise PackDamaged(f"{file} cannot be converted: it is damaged, or no list of arrays.") from error


def _unpacked(content: bytes, most_bytes: int) -> bytes:
    frame = lz4.frame.LZ4FrameDecompressor()
    unpacked: bytes = frame.decompress(content, max_length=most_bytes + 1)
    if len(unpacked) > most_bytes:
        raise _Unexpected(f"it unpacks to more than {most_bytes:,} bytes")
    if not frame.eof:
        raise _Unexpected("it was cut short")
    if frame.unused_data:
        raise _Unexpected("bytes are left over at its end")
    return unpacked


class _Pickle:
    """A machine that runs the operations of one pickle."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self._size_bytes = len(content)
        self._stack: list[Any] = []
        self._memo: list[Any] = []

    def arrays(self) -> list[NDArray[np.float32]]:
        for operation, argument, _ in pickletools.genops(self._stream):
            self._run(operation.name, argument)
        arrays = self._stack.pop()
        if self._stack or self._stream.read(1):
            raise _Unexpected("something is left over at the end of its pickle")
        if not isinstance(arrays, list) or not all(isinstance(each, np.ndarray) for each in arrays):
            raise _Unexpected("its pickle is no list of arrays")
        return arrays

    def _run(self, operation: str, argument: Any) -> None:
        stack = self._stack
        match operation:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MEMOIZE":
                self._memo.append(stack[-1])
            case "BINGET":
                stack.append(self._memo[argument])
            case "SHORT_BINUNICODE" | "BININT" | "BININT1" | "BININT2":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation])
            case "EMPTY_LIST" | "EMPTY_TUPLE" | "EMPTY_DICT":
                stack.append({"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}[operation]())
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple([stack.pop() for _ in range(int(operation[-1]))][::-1]))
            case "APPENDS":
                values = self._since_mark()
                stack[-1].extend(values)
            case "SETITEMS":
                values = self._since_mark()
                stack[-1].update(zip(map(_text, values[::2]), values[1::2], strict=True))
            case "STACK_GLOBAL" | "NEWOBJ" | "REDUCE" | "BUILD":
                last, before = stack.pop(), stack.pop()
                act = {"STACK_GLOBAL": _named, "NEWOBJ": _made, "REDUCE": _made, "BUILD": self._built}[operation]
                stack.append(act(before, last))
            case _:
                raise _Unexpected(f"its pickle has the operation {operation}, which no list of arrays needs")

    def _since_mark(self) -> list[Any]:
        """Take and return what was pushed since the last mark, and take the mark."""
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _built(self, built: Any, state: Any) -> Any:
        """Return what an object is once it has its state: a wrapper turns into the array that follows it."""
        if built is _FLOAT32:
            if state[1] != "<":
                raise _Unexpected("an array's bytes are in another order")
            return _FLOAT32
        if built != _WRAPPER or state["subclass"] != _ARRAY or state["order"] != "C":
            raise _Unexpected("its pickle holds something else than plain arrays")
        return self._array(state)

    def _array(self, state: dict[str, Any]) -> NDArray[np.float32]:
        """Read the array behind its description. A length beyond the content's end allocates nothing."""
        shape = state["shape"]
        is_shape = len(shape) <= _MOST_AXES and all(isinstance(side, int) and side > 0 for side in shape)
        if state["dtype"] is not _FLOAT32 or not is_shape:
            raise _Unexpected("an array is not of float32, or its shape is wrong")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._stream.read(self._stream.read(1)[0])
        size_bytes = 4 * math.prod(shape)
        if size_bytes > self._size_bytes - self._stream.tell():
            raise _Unexpected("an array was cut short")
        array = np.frombuffer(self._stream.read(size_bytes), "<f4").reshape(shape)
        if not np.isfinite(array).all():
            raise _Unexpected("an array holds values that are no numbers")
        return array


def _text(value: Any) -> str:
    """Return the value if it is a text: to hash or to show nested tuples can take for ever."""
    if not isinstance(value, str):
        raise _Unexpected("its pickle has something else where a name was expected")
    return value


def _named(module: Any, name: Any) -> str:
    named = f"{_text(module)}.{_text(name)}"
    if named not in (_WRAPPER, _ARRAY, _TYPE):
        raise _Unexpected(f"its pickle names {named[:60]!r}, which no list of arrays needs")
    return named


def _made(maker: Any, arguments: Any) -> Any:
    """Return what stands for the object that a pickle would make here."""
    if maker == _WRAPPER and arguments == ():
        return _WRAPPER
    if maker == _TYPE and arguments[0] == "f4":
        return _FLOAT32
    raise _Unexpected("its pickle makes something else than arrays of float32")
