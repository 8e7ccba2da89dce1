"""The C++ kernels against the same formulas in Python's integers, and their checks of sizes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ditto import _native
from ditto.runtime.protocols.sharing import raw_shape, word_dtype
from ditto.runtime.transport.installation import installed_file

N = 300  # more than a block of the kernels
NOTHING = np.empty(0, np.uint8)


def to_section(words, word_bytes):
    """Words as a section: planes for the binary digits of word_bytes, largest first."""
    planes, done = [], 0
    for part in (16, 8, 4, 2, 1):
        if word_bytes & part:
            planes += [(w >> 8 * done & (1 << 8 * part) - 1).to_bytes(part, "little") for w in words]
            done += part
    return np.frombuffer(b"".join(planes), np.uint8).copy()


def random_words(rng, count, size):
    return [int.from_bytes(rng.bytes(size), "little") for _ in range(count)]


def to_slots(pairs, ring):
    data = b"".join(v.to_bytes(ring // 8, "little") for pair in pairs for v in pair)
    return np.frombuffer(data, word_dtype(ring)).reshape(raw_shape((-1, 2), ring)).copy()


def from_slots(slots, ring):
    data, size = slots.tobytes(), ring // 8
    flat = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
    return list(zip(flat[::2], flat[1::2], strict=True))


def centred(x, drop):
    half, unit = ((1 << drop - 1) - 1, 1) if drop else (0, 0)
    return (x + half >> drop) + unit


CASES = [
    (32, 64, 0, 0, 4), (32, 64, 0, 10, 3), (32, 64, 8, 0, 5), (32, 32, 1, 0, 1), (32, 32, 16, 0, 2),
    (64, 64, 18, 0, 3), (64, 64, 62, 0, 8), (64, 64, 49, 0, 7), (32, 128, 0, 32, 8), (32, 128, 30, 0, 16),
    (64, 128, 0, 22, 6), (64, 128, 0, 0, 8), (64, 128, 40, 0, 13), (128, 128, 40, 0, 5),
    (128, 128, 64, 0, 8), (128, 128, 126, 0, 16),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target", "drop", "left", "size"), CASES)
def test_kernels_follow_the_protocol(source, target, drop, left, size):
    rng = np.random.default_rng(1)
    k_mask, out_mask, word_mask = (1 << source) - 1, (1 << target) - 1, (1 << 8 * size) - 1
    offset, weight = 1 << source - 2, source - drop + left
    x = [random_words(rng, N, source // 8) for _ in range(3)]
    # The edges of the top bits and of the low bits.
    x[0][:4], x[1][:4], x[2][:4] = [0, k_mask, k_mask, 0], [0, k_mask, 1, 0], [0, k_mask, offset, 2 * offset]
    a0, a1, w0, b0, b1 = (random_words(rng, N, size) for _ in range(5))
    rings = (source, target, drop, left, size)

    def empty_section():
        return np.zeros(N * size, np.uint8)

    def result(word, value, centre=False, shifted=False):
        y = centred(value, drop) << left if centre else (value >> drop) << left
        return (y - (offset >> drop << left if shifted else 0) - (word << weight)) & out_mask

    shifted1 = [(v + offset) & k_mask for v in x[1]]
    wraps = [(u + v >> source, (u + v & k_mask) >> source - 1) for u, v in zip(x[0], shifted1, strict=True)]
    f0, f1 = [w + m for w, m in wraps], [w + 1 for w, _ in wraps]
    slots0 = to_slots(zip(x[0], x[1], strict=True), source)
    sections = [to_section(words, size) for words in (a0, a1, w0, b0, b1)]

    out, p0, p1 = to_slots([(0, 0)] * N, target), empty_section(), empty_section()
    _native.send_two_rounds(slots0, *rings, *sections[:4], out, p0, p1)
    assert np.array_equal(p0, to_section([f - q & word_mask for f, q in zip(f0, a0, strict=True)], size))
    assert np.array_equal(p1, to_section([f - q & word_mask for f, q in zip(f1, a1, strict=True)], size))
    assert from_slots(out, target) == [
        (result(w0[i], x[0][i]), result(b0[i], shifted1[i], shifted=True)) for i in range(N)
    ]

    c, w1 = empty_section(), empty_section()
    _native.send_one_round(slots0, *rings, *sections, out, c, w1)
    g0 = [a0[i] + b0[i] for i in range(N)]
    w1_words = [f0[i] - w0[i] - g0[i] & word_mask for i in range(N)]
    assert np.array_equal(w1, to_section(w1_words, size))
    assert np.array_equal(
        c, to_section([f1[i] - f0[i] + g0[i] - a1[i] - b1[i] & word_mask for i in range(N)], size)
    )
    assert from_slots(out, target) == [
        (result(w0[i], x[0][i]), result(w1_words[i], shifted1[i], shifted=True)) for i in range(N)
    ]

    bit = [v >> source - 1 for v in x[2]]
    slots1 = to_slots(zip(x[1], x[2], strict=True), source)
    slots2 = to_slots(zip(x[2], x[0], strict=True), source)
    picks = [((a1 if b else a0)[i] - w0[i]) & word_mask for i, b in enumerate(bit)]
    for choose, slots in ((_native.choose_p1, slots1), (_native.choose_p2, slots2)):
        chosen = empty_section()
        choose(slots, source, size, *sections[:3], chosen)
        assert np.array_equal(chosen, to_section(picks, size))
        choose(slots, source, size, *sections[:2], NOTHING, chosen)
        assert np.array_equal(chosen, to_section([(a1 if b else a0)[i] for i, b in enumerate(bit)], size))

    for correction in (NOTHING, sections[2]):
        w2 = [a0[i] + a1[i] + (bit[i] * w0[i] if correction.size else 0) & word_mask for i in range(N)]
        _native.finish_p1(slots1, *rings, *sections[:2], correction, sections[3], out)
        assert from_slots(out, target) == [
            (result(b0[i], shifted1[i], shifted=True), result(w2[i], x[2][i], centre=True)) for i in range(N)
        ]
        _native.finish_p2(slots2, *rings, *sections[:2], correction, sections[3], out)
        assert from_slots(out, target) == [
            (result(w2[i], x[2][i], centre=True), result(b0[i], x[0][i])) for i in range(N)
        ]


@pytest.mark.parametrize("source", [32, 64, 128])
@pytest.mark.parametrize("target", [32, 64, 128])
@pytest.mark.parametrize(("drop", "left"), [(0, 0), (1, 0), (9, 0), (30, 0), (0, 1), (0, 31)])
def test_shifts(source, target, drop, left):
    rng = np.random.default_rng(2)
    pairs = list(zip(*(random_words(rng, N, source // 8) for _ in range(2)), strict=True))
    pairs[:2] = [(0, (1 << source) - 1), ((1 << source) - 1, 0)]
    slots, out, mask = to_slots(pairs, source), to_slots([(0, 0)] * N, target), (1 << target) - 1
    for shift, centre in ((_native.shift_p0, None), (_native.shift_p1, 1), (_native.shift_p2, 0)):
        shift(slots, source, target, drop, left, out)
        expected = [
            tuple(
                (centred(v, drop) if column == centre else v >> drop) << left & mask
                for column, v in enumerate(pair)
            )
            for pair in pairs
        ]
        assert from_slots(out, target) == expected


@pytest.mark.parametrize("ring", [32, 64, 128])
def test_split_and_join(ring):
    rng = np.random.default_rng(3)
    raw, x0, x1 = (np.frombuffer(rng.bytes(N * ring // 8), word_dtype(ring)) for _ in range(3))
    slots = [to_slots([(0, 0)] * N, ring) for _ in range(3)]
    _native.split(raw, ring, x0.view(np.uint8), x1, *slots)
    parties = [from_slots(s, ring) for s in slots]
    for (a0, a1), (b0, b1), (c0, c1) in zip(*parties, strict=True):
        assert (a1, b1, c1) == (b0, c0, a0)
    joined = np.empty_like(raw)
    assert _native.join(*slots, ring, joined)
    assert np.array_equal(joined, raw)
    slots[2].reshape(-1)[-1] += slots[2].dtype.type(1)
    assert not _native.join(*slots, ring, joined)


def to_query(words, ring):
    """Words of digits, lowest digit first, as planes: 16 bits each, and 8 for the top one."""
    planes = [w.to_bytes(2, "little") for digit in words[:-1] for w in digit]
    return np.frombuffer(b"".join(planes) + bytes(words[-1]), np.uint8).copy()


def to_rows(bits, row_bytes, column):
    """Rows of N bits each, from byte `column` of rows of `row_bytes` on."""
    rows, eighth = np.zeros((len(bits), row_bytes), np.uint8), -(-N // 8)
    for row, of_row in zip(rows, bits, strict=True):
        for i, bit in enumerate(of_row):
            row[column + i % eighth] |= bit << i // eighth
    return rows.reshape(-1)


def reversed_bits(value, count):
    return int(format(value, f"0{count}b")[::-1], 2)


def compare_words(u, ring):
    """The words of every digit of u, as docs/explanation/protocols.md has them."""
    digits = ring // 4
    words = [[(1 << (v >> 4 * j & 15)) - 1 for v in u] for j in range(digits - 1)]
    return [*words, [(1 << (v >> ring - 4 & 7)) - 1 ^ 255 * (v >> ring - 1) for v in u]]


@pytest.mark.parametrize("ring", [32, 64, 128])
def test_comparison_kernels_follow_the_protocol(ring):
    rng = np.random.default_rng(4)
    digits, k_mask = ring // 4, (1 << ring) - 1
    x = [random_words(rng, N, ring // 8) for _ in range(3)]
    x[0][:4], x[1][:4], x[2][:4] = [0, k_mask, k_mask, 0], [0, k_mask, 1, 0], [0, k_mask, 1, k_mask >> 1]
    u = [a + b & k_mask for a, b in zip(x[0], x[1], strict=True)]
    mask = np.frombuffer(rng.bytes((2 * digits - 1) * N), np.uint8)
    query = np.zeros_like(mask)
    _native.compare_query(to_slots(zip(x[0], x[1], strict=True), ring), ring, mask, query)
    assert np.array_equal(query ^ mask, to_query(compare_words(u, ring), ring))

    # What P1 and P2 pick out of their shares of the words adds up to G and P of every digit.
    eighth = -(-N // 8)
    row_bytes, column = eighth + 5, 2
    for threshold in (0, 1, 12345, -1):
        t = [(~(v - threshold) & k_mask) for v in x[2]]
        g, p = [], []
        for j in range(digits):
            last = 7 if j == digits - 1 else 15
            pairs = [(a >> 4 * j & last, b >> 4 * j & last) for a, b in zip(u, t, strict=True)]
            g.append([int(a > b) for a, b in pairs])
            p.append([int(a == b) for a, b in pairs])
        signs = zip(g[-1], u, t, strict=True)
        g[-1] = [bit ^ a >> ring - 1 ^ 1 ^ b >> ring - 1 for bit, a, b in signs]
        order = [reversed_bits(position, digits.bit_length() - 1) for position in range(digits)]
        expected = to_rows([g[j] for j in order] + [p[j] for j in order[1:]], row_bytes, column)
        element = np.frombuffer((threshold & k_mask).to_bytes(ring // 8, "little"), np.uint8)
        before = np.frombuffer(rng.bytes(expected.size), np.uint8)
        first, second = before.copy(), np.zeros_like(before)
        slots1, slots2 = (to_slots(zip(a, b, strict=True), ring) for a, b in ((x[1], x[2]), (x[2], x[0])))
        _native.compare_pick_p1(slots1, ring, element, query, column, first)
        _native.compare_pick_p2(slots2, ring, element, mask, column, second)
        assert np.array_equal(first ^ second ^ before, expected)


@pytest.mark.parametrize("digits", [2, 4, 8, 16, 32])
def test_a_level_of_the_comparison(digits):
    rng = np.random.default_rng(5)
    row, half = 37, digits // 2
    slots = [rng.integers(0, 256, (2 * digits - 1, row), np.uint8) for _ in range(3)]
    masks = [rng.integers(0, 256, (digits - 1, row), np.uint8) for _ in range(3)]
    products = [np.zeros((digits - 1, row), np.uint8) for _ in range(3)]
    for i in range(3):
        following = (i + 1) % 3
        _native.compare_level(slots[i], slots[following], digits, masks[i], masks[following], products[i])
    whole = slots[0] ^ slots[1] ^ slots[2]
    g, p = whole[:digits], whole[digits - 1 :]  # row i of p is that of digit i, but for i = 0
    expected = np.concatenate([p[half:] & g[:half], p[half + 1 :] & p[1:half]])
    assert np.array_equal(products[0] ^ products[1] ^ products[2], expected)
    own, other = slots[:2]
    alone = np.zeros_like(products[0])
    _native.compare_level(own, other, digits, masks[0], masks[1], alone)
    a0, a1 = own[digits - 1 + half], other[digits - 1 + half]
    assert np.array_equal(alone[0], a0 & own[0] ^ a0 & other[0] ^ a1 & own[0] ^ masks[0][0] ^ masks[1][0])


def test_bits_are_unpacked():
    rng = np.random.default_rng(6)
    bits = [[int(b) for b in rng.integers(0, 2, N)] for _ in range(2)]
    out = np.zeros((N, 2), np.uint8)
    _native.unpack_bits(*(to_rows([b], -(-N // 8), 0) for b in bits), out)
    assert np.array_equal(out, np.array(bits).T)


def slots_of(ring, count=4):
    return np.zeros(raw_shape((count, 2), ring), word_dtype(ring))


S = np.zeros(16, np.uint8)
Q = np.zeros(60, np.uint8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _native.choose_p1(slots_of(32), 32, 0, S, S, S, S.copy()), "1 to 16 bytes"),
        (lambda: _native.choose_p1(slots_of(32), 32, 17, S, S, S, S.copy()), "1 to 16 bytes"),
        (lambda: _native.choose_p1(slots_of(32), 48, 4, S, S, S, S.copy()), "slots: not two ring elements"),
        (lambda: _native.choose_p1(slots_of(32), 96, 4, S, S, S, S.copy()), "slots: not two ring elements"),
        (lambda: _native.choose_p1(slots_of(32, 24), 96, 4, S, S, S, S.copy()), "32, 64 or 128"),
        (lambda: _native.choose_p1(slots_of(32), 32, 4, S[:15], S, S, S.copy()), "section: not word_bytes"),
        (lambda: _native.choose_p1(slots_of(32), 32, 4, S, S, S[:1], S.copy()), "section: not word_bytes"),
        (lambda: _native.choose_p1(slots_of(32), 32, 4, S, S, S, S[:8].copy()), "section: not word_bytes"),
        (
            lambda: _native.finish_p1(slots_of(64), 64, 32, 0, 0, 4, S, S, S, S, slots_of(32)),
            "no wrap reaches",
        ),
        (
            lambda: _native.finish_p1(slots_of(64), 64, 32, 40, 0, 4, S, S, S, S, slots_of(32)),
            "does not narrow",
        ),
        (
            lambda: _native.finish_p1(slots_of(32), 32, 64, 31, 0, 4, S, S, S, S, slots_of(64)),
            "drop: more than",
        ),
        (
            lambda: _native.finish_p1(slots_of(32), 32, 64, 1, 1, 4, S, S, S, S, slots_of(64)),
            "shifts one way",
        ),
        (lambda: _native.finish_p1(slots_of(32), 32, 64, 0, 0, 4, S, S, S, S, slots_of(64, 3)), "slots"),
        (
            lambda: _native.finish_p1(slots_of(32, 1), 32, 64, 0, 0, 16, S, S, S, S, slots_of(64, 1)),
            "word_bytes",
        ),
        (lambda: _native.shift_p0(slots_of(32), 32, 64, 32, 0, slots_of(64)), "less than the ring's width"),
        (lambda: _native.shift_p0(slots_of(32), 32, 64, 0, 0, slots_of(64, 5)), "slots: not two"),
        (lambda: _native.encode(np.zeros(4, np.int32), 32, 0, np.zeros(4, np.uint32)), "float32 or float64"),
        (lambda: _native.encode(np.zeros(4), 32, 31, np.zeros(4, np.uint32)), "frac: more than"),
        (lambda: _native.encode(np.zeros(4), 32, 0, np.zeros(3, np.uint32)), "raw: not one ring element"),
        (lambda: _native.decode(np.zeros(3, np.uint32), 32, 0, np.zeros(4)), "raw: not one ring element"),
        (lambda: _native.split(np.zeros(4, np.uint32), 32, S, S[:8], *[slots_of(32)] * 3), "raw: not one"),
        (
            lambda: _native.join(slots_of(64), slots_of(64), slots_of(64, 3), 64, np.zeros(4)),
            "slots: not two",
        ),
        (lambda: _native.compare_query(slots_of(32), 32, Q[:59], Q.copy()), "query: not ring / 2 - 1"),
        (lambda: _native.compare_query(slots_of(32), 32, Q, Q[:59].copy()), "query: not ring / 2 - 1"),
        (lambda: _native.compare_query(slots_of(32), 96, Q, Q.copy()), "slots: not two ring elements"),
        (lambda: _native.compare_query(slots_of(32, 24), 96, Q, Q.copy()), "32, 64 or 128"),
        (lambda: _native.compare_pick_p1(slots_of(32), 32, S[:4], Q[:59], 0, S[:15].copy()), "query: not"),
        (lambda: _native.compare_pick_p1(slots_of(32), 32, S[:3], Q, 0, S[:15].copy()), "threshold: not one"),
        (lambda: _native.compare_pick_p1(slots_of(32), 32, S[:4], Q, 0, S.copy()), "bits: not ring / 2 - 1"),
        (lambda: _native.compare_pick_p2(slots_of(32), 32, S[:4], Q, 1, S[:15].copy()), "bits: .* too short"),
        (lambda: _native.compare_pick_p2(slots_of(32), 32, S[:4], Q, 2, S[:15].copy()), "bits: .* too short"),
        (lambda: _native.compare_level(S[:9], S[:9], 3, S[:3], S[:3], S[:3].copy()), "of a power of two"),
        (lambda: _native.compare_level(S[:9], S[:8], 2, S[:3], S[:3], S[:3].copy()), "2 \\* digits - 1 rows"),
        (lambda: _native.compare_level(S[:9], S[:9], 2, S[:3], S[:3], S[:2].copy()), "not digits - 1 rows"),
        (lambda: _native.compare_level(S[:9], S[:9], 2, S[:3], S[:4], S[:3].copy()), "not digits - 1 rows"),
        (lambda: _native.unpack_bits(S[:1], S[:2], S.copy()), "one byte for every eight"),
        (lambda: _native.unpack_bits(S[:1], S[:1], S[:15].copy()), "not two bytes for each"),
    ],
)
def test_sizes_and_parameters_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_arrays_that_kernels_cannot_read_or_write_are_refused():
    with pytest.raises(TypeError):
        _native.shift_p0(slots_of(32, 8)[::2], 32, 32, 0, 0, slots_of(32))
    with pytest.raises(TypeError):
        _native.shift_p0(slots_of(32), 32, 32, 0, 0, slots_of(32, 8)[::2])
    frozen = slots_of(32)
    frozen.flags.writeable = False
    with pytest.raises(TypeError):
        _native.shift_p0(slots_of(32), 32, 32, 0, 0, frozen)


MALLOC = installed_file("libditto_malloc.so")

ALLOCATIONS = """
import ctypes
libc = ctypes.CDLL(None)
for name in ("malloc", "calloc", "realloc"):
    getattr(libc, name).restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
for size in [0, 1, 15, 24, 63, 64, 65, 1000, 4097, 200_000, 40_000_000]:
    block = libc.malloc(size_t(size))
    assert block and block % 64 == 0, size
    ctypes.memset(block, 7, size)
    for bigger in (size + 1, 3 * size + 100, size // 3 + 1):
        block = libc.realloc(pointer(block), size_t(bigger))
        assert block % 64 == 0, (size, bigger)
        kept = min(size, bigger, size // 3 + 1)
        assert ctypes.string_at(block, kept) == bytes([7]) * kept
        ctypes.memset(block, 7, bigger)
    libc.free(pointer(block))
    zeroed = libc.calloc(size_t(3), size_t(size))
    assert zeroed % 64 == 0 and ctypes.string_at(zeroed, 3 * size) == bytes(3 * size)
    libc.free(pointer(zeroed))
assert libc.calloc(size_t(2**63), size_t(4)) is None
assert libc.realloc(None, size_t(10)) % 64 == 0
"""

PRODUCT = """
import numpy as np
import spu.utils.simulation as simulation
from spu import libspu
config = libspu.RuntimeConfig(protocol=libspu.ABY3, field=libspu.FM32, fxp_fraction_bits=8)
a, b = np.ones((128, 768), np.float32), np.ones((768, 768), np.float32) / 256
product = simulation.sim_jax(simulation.Simulator(3, config), lambda x, y: x @ y)(a, b)
assert np.abs(product - 3).max() < 0.1
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the aligned malloc rests on glibc")
@pytest.mark.parametrize("program", [ALLOCATIONS, PRODUCT], ids=["blocks are aligned", "ring-32 product"])
def test_the_aligned_malloc(program):
    environment = {**os.environ, "LD_PRELOAD": str(MALLOC), "OMP_THREAD_LIMIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
