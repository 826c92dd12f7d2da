"""PLY files as tables: what the package writes, and what other programs write of points.

Elements are structured arrays. A field of n numbers is a list, as the corners of a triangle are;
lists of one element that differ in length are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from endosfm3d_ros.errors import InputError

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8",
}  # fmt: skip
NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint",
         "f4": "float", "f8": "double"}  # fmt: skip
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
COUNT = "__count"  # field before a list, in the file
LONGEST = 100_000  # bytes of a header


def write_ply(path: Path, elements: Mapping[str, np.ndarray], comments: Sequence[str] = ()) -> None:
    """Binary little-endian PLY of structured arrays.

    Args:
        path: of the file, which is written in place: scratch of `replacing`.
        elements: {name: (N,) structured array}; fields are numbers, or (n,) of them as a list.
        comments: one line each.
    """
    head = ["ply", "format binary_little_endian 1.0", *(f"comment {each}" for each in comments)]
    for name, rows in elements.items():
        head += [f"element {name} {len(rows)}", *_properties(rows.dtype)]
    with path.open("wb") as file:
        file.write(("\n".join([*head, "end_header"]) + "\n").encode("ascii", "replace"))
        for rows in elements.values():
            file.write(_with_counts(rows).tobytes())


def read_ply(path: Path) -> dict[str, np.ndarray]:
    """{element: (N,) structured array} of a PLY file; fields in the byte order of this machine.

    Raises:
        InputError: no PLY file, one that is cut off, or lists of different lengths.
    """
    try:
        with path.open("rb") as file:
            order, described = _header(file)
            content = file.read()
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path} is no PLY file: {error}") from error
    try:
        if order == "=":
            return _of_text(content, described)
        return _of_bytes(content, described, order)
    except (ValueError, IndexError, MemoryError, OverflowError) as error:
        raise InputError(f"{path} is a damaged PLY file: {error}") from error


def _properties(dtype: np.dtype) -> list[str]:
    lines = []
    for name in dtype.names or ():
        base, shape = dtype[name].base, dtype[name].shape
        kind = NAMES[base.str[1:]]
        lines.append(f"property list uchar {kind} {name}" if shape else f"property {kind} {name}")
    return lines


def _with_counts(rows: np.ndarray) -> np.ndarray:
    """The rows as they lie in the file: the length before every list."""
    fields: list[tuple] = []
    for name in rows.dtype.names or ():
        kind = rows.dtype[name]
        if kind.shape:
            fields.append((name + COUNT, "u1"))
        fields.append((name, kind.base.newbyteorder("<"), kind.shape))
    packed = np.zeros(len(rows), fields)
    for name in rows.dtype.names or ():
        packed[name] = rows[name]
        if rows.dtype[name].shape:
            packed[name + COUNT] = rows.dtype[name].shape[0]
    return packed


Element = tuple[str, int, list[tuple[str, str, str]]]  # name, rows, (field, type, type of count)


def _header(file: BinaryIO) -> tuple[str, list[Element]]:
    """Byte order and elements; the file stands behind the header then."""
    if file.readline(8).strip() != b"ply":
        raise ValueError("it does not begin with 'ply'")
    order, elements = "", []
    while file.tell() < LONGEST:
        words = file.readline(LONGEST).decode("latin-1").split()
        if not words or words[0] in ("comment", "obj_info"):
            if not words and not file.peek(1):
                break
            continue
        if words[0] == "end_header":
            return order or "<", elements
        if words[0] == "format":
            order = ORDERS[words[1]]
        elif words[0] == "element":
            elements.append((words[1], int(words[2]), []))
        elif words[1] == "list":
            elements[-1][2].append((words[4], TYPES[words[3]], TYPES[words[2]]))
        else:
            elements[-1][2].append((words[2], TYPES[words[1]], ""))
    raise ValueError("its header does not end")


def _of_bytes(content: bytes, elements: list[Element], order: str) -> dict[str, np.ndarray]:
    found, at = {}, 0
    for name, count, properties in elements:
        dtype, counts = _row(content, at, properties, order)
        if count < 0 or at + count * dtype.itemsize > len(content):
            raise ValueError(f"{len(content)} bytes are too few for {count} rows of '{name}'")
        rows = np.frombuffer(content, dtype, count, at)
        at += count * dtype.itemsize
        for field, length in counts.items():
            if count and (rows[field + COUNT] != length).any():
                raise ValueError(f"lists '{field}' of '{name}' differ in length")
        kept = [field for field, _, _ in properties]
        native = [(f, dtype[f].base.newbyteorder("="), dtype[f].shape) for f in kept]
        found[name] = np.zeros(count, native)
        for field in kept:
            found[name][field] = rows[field]
    return found


def _row(
    content: bytes, at: int, properties: list[tuple[str, str, str]], order: str
) -> tuple[np.dtype, dict[str, int]]:
    """How one row lies in the file, with {list: length} as the first row has them."""
    fields: list[tuple] = []
    counts: dict[str, int] = {}
    for field, kind, counted in properties:
        if counted:
            here = at + np.dtype(fields).itemsize
            size = np.dtype(counted).itemsize  # of a table without rows nothing may follow
            first = np.frombuffer(content[here : here + size].ljust(size, b"\0"), order + counted)
            counts[field] = int(first[0])
            fields.append((field + COUNT, order + counted))
            fields.append((field, order + kind, (counts[field],)))
        else:
            fields.append((field, order + kind))
    return np.dtype(fields), counts


def _of_text(content: bytes, elements: list[Element]) -> dict[str, np.ndarray]:
    lines = content.decode("latin-1").splitlines()
    found, at = {}, 0
    for name, count, properties in elements:
        if any(counted for _, _, counted in properties):
            raise ValueError("lists are read from binary files only")
        rows = [tuple(map(float, line.split())) for line in lines[at : at + count]]
        if len(rows) < count:
            raise ValueError(f"{len(rows)} of {count} rows of '{name}' are there")
        found[name] = np.array(rows, [(field, kind) for field, kind, _ in properties])
        at += count
    return found
