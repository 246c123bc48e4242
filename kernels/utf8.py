"""Strict UTF-8 inside kernels: one character in, one character out, and the few characters that sentence splitting knows."""

import numpy as np

from kernels.jit import inlined
from kernels.words import Bytes, Integer


@inlined
def decode_utf8(text: Bytes, at: Integer) -> tuple[Integer, Integer]:
    """The code point at `text[at]` and its width in bytes; (0, 0) when the bytes there are not strict UTF-8."""
    lead = np.int64(text[at])
    point, width, least = lead, 1, 0
    if lead >= 0xF0:
        point, width, least = lead & 0x07, 4, 0x10000
    elif lead >= 0xE0:
        point, width, least = lead & 0x0F, 3, 0x800
    elif lead >= 0xC0:
        point, width, least = lead & 0x1F, 2, 0x80
    valid = lead < 0x80 or 0xC0 <= lead < 0xF8
    for i in range(1, width):
        byte = np.int64(text[at + i])
        valid &= (byte & 0xC0) == 0x80
        point = point << 6 | (byte & 0x3F)
    if not valid or point < least or point > 0x10FFFF or (point & 0x1FF800) == 0xD800:
        return 0, 0
    return point, width


@inlined
def encode_utf8(point: Integer, out: Bytes, at: Integer) -> int:
    """Write a code point as UTF-8 at `out[at]` (changed in place); its width in bytes."""
    if point < 0x80:
        out[at] = point
        return 1
    if point < 0x800:
        out[at] = 0xC0 | point >> 6
        out[at + 1] = 0x80 | (point & 0x3F)
        return 2
    if point < 0x10000:
        out[at] = 0xE0 | point >> 12
        out[at + 1] = 0x80 | (point >> 6 & 0x3F)
        out[at + 2] = 0x80 | (point & 0x3F)
        return 3
    out[at] = 0xF0 | point >> 18
    out[at + 1] = 0x80 | (point >> 12 & 0x3F)
    out[at + 2] = 0x80 | (point >> 6 & 0x3F)
    out[at + 3] = 0x80 | (point & 0x3F)
    return 4


@inlined
def white_width(text: Bytes, at: Integer) -> Integer:
    """The width in bytes of the white space at `text[at]`, 0 when there is none."""
    byte = text[at]
    if byte == 0x20 or 0x09 <= byte <= 0x0D:
        return 1
    if byte < 0x80:
        return 0
    point, width = decode_utf8(text, at)
    white = point in (0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000) or 0x2000 <= point <= 0x200A
    return width if white else 0


@inlined
def closer_width(text: Bytes, at: Integer) -> Integer:
    """The width in bytes of the closing quote or bracket at `text[at]`, 0 when there is none."""
    byte = text[at]
    if byte < 0x80:
        return 1 if byte in (0x22, 0x27, 0x29, 0x5D, 0x7D) else 0
    point, width = decode_utf8(text, at)
    return width if point in (0xBB, 0x201D, 0x2019) else 0
