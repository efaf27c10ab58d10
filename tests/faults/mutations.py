"""Damage to files by a seeded generator: what disks, transfers, editors and malice do to them."""

import json
import re

import numpy as np

# What a field of a header or of a record may claim.
EXTREME = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
ODD = (None, True, -1, 0, 3, 0.5, 10**30, 1e308, float("nan"), float("inf"), "", "../x", [], {})
ODD += ([[1]], {"a": 1}, "x" * 300, [0.1, 0.2], "\x00", "a\x00b", "é\ud800", 10**400)
HEADER = 400  # bytes


def mutate(data: bytes, others: list[bytes], rng: np.random.Generator, suffix: str) -> bytes:
    """Return a changed copy of a file, or what another file holds.

    Parameters
    ----------
    data : bytes
        The file.
    others : list of bytes
        Contents of other files.
    rng : np.random.Generator
        What is done, and where.
    suffix : str
        Of the file's name: a .json also gets other values at single places.
    """
    kinds = [flipped] * 5 + [rearranged] * 8 + [claiming] * 4 + [None]
    if suffix in (".json", ".jsonl"):
        kinds += [revalued] * 12
    kind = kinds[rng.integers(len(kinds))]
    return kind(data, rng) if kind else others[rng.integers(len(others))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to eight bits, half of the time near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        end = min(len(data), HEADER) if rng.random() < 0.5 else len(data)
        changed[rng.integers(end)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def rearranged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut the end off, or a piece out; insert or append noise; swap two pieces; leave nothing."""
    a, b, c = np.sort(rng.integers(len(data) + 1, size=3))
    noise = rng.bytes(int(rng.integers(1, 5000)))
    forms = (
        *(data[:a], data[:a] + data[b:], data[:a] + noise + data[a:], data + noise),
        *(data[:a] + data[b:c] + data[a:b] + data[c:], b""),
    )
    return forms[rng.integers(len(forms))]


def claiming(data: bytes, rng: np.random.Generator) -> bytes:
    """Let a field of the header, in binary or in digits, be very small or very large."""
    value = EXTREME[rng.integers(len(EXTREME))]
    numbers = list(re.finditer(rb"\d+", data[:HEADER]))
    if numbers and rng.random() < 0.5:
        start, end = numbers[rng.integers(len(numbers))].span()
        return data[:start] + str(value).encode() + data[end:]
    size = int(rng.choice([1, 2, 4, 8]))
    order = "big" if rng.random() < 0.3 else "little"
    place = int(rng.integers(max(1, min(len(data), HEADER) - size)))
    field = (value % 2 ** (8 * size)).to_bytes(size, order)
    return data[:place] + field + data[place + size :]


def revalued(data: bytes, rng: np.random.Generator) -> bytes:
    """Change or remove one value of a JSON file, or of one line of JSON, which stays one."""
    is_whole = data.lstrip().startswith(b"{\n")
    lines = [data] if is_whole else data.splitlines()
    line = rng.integers(len(lines))
    content = json.loads(lines[line])
    places = _places(content)
    holder, key = places[rng.integers(len(places))]
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = ODD[rng.integers(len(ODD))]
    lines[line] = json.dumps(content).encode()
    return b"\n".join(lines)


def _places(content: object) -> list[tuple]:
    """List every (container, key) in a JSON value; of long lists, the first entries."""
    if isinstance(content, dict):
        keys = list(content)
    elif isinstance(content, list):
        keys = list(range(min(len(content), 3)))
    else:
        return []
    return [p for key in keys for p in ((content, key), *_places(content[key]))]
