"""Damage to files by a seeded generator: what disks, transfers, editors and malice do to them."""

import json

import numpy as np

# What a field of a header or of a record may claim.
EXTREME = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
ODD = (None, True, -1, 0, 3, 0.5, 10**30, 1e308, float("nan"), float("inf"), "", "../x", [], {})
ODD += ([[1]], {"a": 1}, "x" * 300, [0.1, 0.2], "\x00", "a\x00b", "é\ud800", 10**400)


def mutate(data: bytes, others: list[bytes], rng: np.random.Generator, suffix: str) -> bytes:
    """Return a changed copy of a file.

    Parameters
    ----------
    data : bytes
        The file.
    others : list of bytes
        Contents of other files, to swap in.
    rng : np.random.Generator
        What is done, and where.
    suffix : str
        Of the file's name: a .json also gets other values at single places.
    """
    kinds = [flipped, cut, grown, swapped, of_another, emptied, claiming]
    weights = [5, 3, 2, 2, 1, 0.3, 4]
    if suffix in (".json", ".jsonl"):
        kinds, weights = [*kinds, revalued, nested], [*weights, 12, 0.3]
    kind = kinds[rng.choice(len(kinds), p=np.array(weights) / sum(weights))]
    return kind(data, others, rng)


def flipped(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Flip one to eight bits, half of the time near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9) if data else 0):
        end = min(len(data), 256) if rng.random() < 0.5 else len(data)
        changed[rng.integers(end)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def cut(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Cut the end off, or a piece out of the middle."""
    first, second = np.sort(rng.integers(len(data) + 1, size=2))
    return data[:first] + (data[second:] if rng.random() < 0.5 else b"")


def grown(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Put random bytes into the middle or at the end."""
    place = rng.integers(len(data) + 1) if rng.random() < 0.7 else len(data)
    return data[:place] + rng.bytes(int(rng.integers(1, 5000))) + data[place:]


def swapped(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Exchange two neighbouring blocks."""
    a, b, c = np.sort(rng.integers(len(data) + 1, size=3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def of_another(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Take what another file holds."""
    return others[rng.integers(len(others))]


def emptied(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Leave nothing."""
    return b""


def claiming(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Let a field of the header, in binary or in digits, be very small or very large."""
    value = EXTREME[rng.integers(len(EXTREME))]
    digits = [i for i in range(min(len(data), 400)) if data[i : i + 1].isdigit()]
    if digits and rng.random() < 0.5:
        start = end = digits[rng.integers(len(digits))]
        while data[end : end + 1].isdigit():
            end += 1
        return data[:start] + str(value).encode() + data[end:]
    size = int(rng.choice([1, 2, 4, 8]))
    order = "big" if rng.random() < 0.3 else "little"
    field = (value % 2 ** (8 * size)).to_bytes(size, order)
    place = int(rng.integers(max(1, min(len(data), 400) - size)))
    return data[:place] + field + data[place + size :]


def revalued(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
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


def nested(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Nest deeper than any parser follows."""
    depth = int(rng.choice([500, 3000, 100_000]))
    return b'{"recipe": ' * depth + b"1" + b"}" * depth


def _places(content: object) -> list[tuple]:
    """List every (container, key) in a JSON value; of long lists, the first entries."""
    if isinstance(content, dict):
        keys = list(content)
    elif isinstance(content, list):
        keys = list(range(min(len(content), 3)))
    else:
        return []
    return [p for key in keys for p in ((content, key), *_places(content[key]))]
