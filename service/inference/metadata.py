"""The spec inside an ONNX file, read and written without the `onnx` package.

An ONNX file is one protobuf message, `ModelProto`; its field 14, `metadata_props`, repeats a message of a key (field 1)
and a value (field 2). Wire format: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator
from typing import NamedTuple

from service.domain.model_spec import METADATA_KEY

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


class _Field(NamedTuple):
    number: int
    start: int
    """Of the tag."""
    value: int
    """Of what follows tag and length."""
    end: int


def read_spec_text(model: bytes) -> str | None:
    """The JSON of the embedded spec, None if there is none; ValueError if this is no ONNX file."""
    for field in _fields(model):
        if field.number == _METADATA_PROPS:
            key, value = _entry(model[field.value : field.end])
            if key == METADATA_KEY:
                return value
    return None


def with_spec_text(model: bytes, text: str) -> bytes:
    """The same file with `text` as its embedded spec; ValueError if this is no ONNX file."""
    key, value = METADATA_KEY.encode(), text.encode()
    entry = _length_delimited(_KEY, key) + _length_delimited(_VALUE, value)
    kept = [model[f.start : f.end] for f in _fields(model) if not _is_spec(model, f)]
    return b"".join(kept) + _length_delimited(_METADATA_PROPS, entry)


def _is_spec(model: bytes, field: _Field) -> bool:
    return field.number == _METADATA_PROPS and _entry(model[field.value : field.end])[0] == METADATA_KEY


def _entry(message: bytes) -> tuple[str, str]:
    parts = {field.number: message[field.value : field.end].decode() for field in _fields(message)}
    return parts.get(_KEY, ""), parts.get(_VALUE, "")


def _fields(message: bytes) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        value = at
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _LENGTH:
            length, value = _varint(message, at)
            at = value + length
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise ValueError("not a protobuf message")
        if at > len(message) or tag >> 3 == 0:
            raise ValueError("not a protobuf message, or cut off")
        yield _Field(tag >> 3, start, value, at)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A varint and the place behind it."""
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, at
    raise ValueError("not a protobuf message, or cut off")


def _length_delimited(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | _LENGTH) + _as_varint(len(content)) + content


def _as_varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
