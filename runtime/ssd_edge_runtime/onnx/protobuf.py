"""The protobuf wire format, as far as an ONNX file needs it: bytes that depend on no library's version."""

from __future__ import annotations

from collections.abc import Iterator

from ssd_edge_runtime.errors import EdgeModelError

Buffer = bytes | memoryview
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 10_000
"""Most fields in one message; our own files need a few hundred, a hostile one could hold millions."""


def encode_varint(value: int) -> bytes:
    """Encode a non-negative integer below 2^64, seven bits a byte, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Message:
    """A protobuf message under construction; large buffers are held, not copied, until :meth:`tobytes`."""

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self.size = 0

    def _append(self, part: Buffer) -> None:
        self.parts.append(part)
        self.size += len(part)

    def integer(self, number: int, value: int) -> Message:
        """Add a varint field."""
        self._append(encode_varint(number << 3 | VARINT) + encode_varint(value))
        return self

    def data(self, number: int, value: Buffer) -> Message:
        """Add a length-delimited field."""
        self._append(encode_varint(number << 3 | LENGTH) + encode_varint(len(value)))
        self._append(value)
        return self

    def text(self, number: int, value: str) -> Message:
        """Add a UTF-8 string field."""
        return self.data(number, value.encode())

    def message(self, number: int, value: Message) -> Message:
        """Add a nested message."""
        self._append(encode_varint(number << 3 | LENGTH) + encode_varint(value.size))
        self.parts.extend(value.parts)
        self.size += value.size
        return self

    def tobytes(self) -> bytes:
        """The message in one piece."""
        return b"".join(self.parts)


def decode_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Decode the varint at offset ``at``; returns its value and the offset after it."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise EdgeModelError(f"cut short inside a number at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise EdgeModelError(f"a number of more than ten bytes at byte {at}")
    if value >= 1 << 64:
        raise EdgeModelError(f"a number beyond 64 bits at byte {at}")
    return value, at


def fields(data: memoryview, most: int = MAX_FIELDS) -> Iterator[tuple[int, int | memoryview, int]]:
    """Yield ``(field number, value, offset of the value)``: an int for varints, else a view of the bytes.

    :raises EdgeModelError: where the bytes are no protobuf message, or hold more than ``most`` fields.
    """
    at = count = 0
    while at < len(data):
        count += 1
        if count > most:
            raise EdgeModelError(f"more than {most} fields in one message")
        tag, at = decode_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            start = at
            value, at = decode_varint(data, at)
            yield number, value, start
            continue
        if kind == LENGTH:
            length, at = decode_varint(data, at)
        elif kind in (FIXED32, FIXED64):
            length = 4 if kind == FIXED32 else 8
        else:
            raise EdgeModelError(f"unknown protobuf wire type {kind} at byte {at}")
        if number == 0 or length > len(data) - at:
            raise EdgeModelError(f"field {number} wants {length} bytes at byte {at}, {len(data) - at} are left")
        yield number, data[at : at + length], at
        at += length


def utf8(data: memoryview, what: str) -> str:
    """Decode a short string; ``what`` names it in the error."""
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise EdgeModelError(f"{what} is not UTF-8") from None
