"""The comparison in any ring: right on every edge, at the stated cost, and telling nobody anything."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seats import (
    least_unbiased,
    least_unbiased_pair,
    numbers,
    of_slots,
    opened,
    rows_of,
    sent_by,
    three,
    views,
    words,
)

from ditto.runtime.protocols.less import less
from ditto.runtime.protocols.rounds import together
from ditto.runtime.protocols.shared import Shared
from ditto_compiler.protocols.comparison_tree import Tree, comparison_tree, join
from ditto_compiler.protocols.costs_bits import less_cost


def compared(slots, thresholds, rounds=None):
    """The answers for each threshold, after a check of what they cost."""
    results, cost = three(lambda party: less(party, slots[party.rank], thresholds, rounds))
    ring, size = slots[0].ring, slots[0].size
    stated = less_cost(ring, size, len(thresholds), rounds)
    assert cost == (stated.bytes, stated.rounds)
    return [opened([answers[i] for answers in results]) for i in range(len(thresholds))]


def expected(values, threshold, ring):
    """[x < c], and the opposite where x - c wraps."""
    half = 1 << (ring - 1)
    return np.array([(-half <= x - threshold < half) == (x < threshold) for x in values], bool)


def rounds_of(ring, thresholds=1):
    """All limits of rounds that make a difference."""
    made = {}
    for rounds in range(2, 6):
        try:
            made.setdefault(comparison_tree(ring, thresholds, rounds), rounds)
        except ValueError:
            assert rounds < 3 or (rounds < 4 and ring > 31)
    return [None, *made.values()]


@pytest.mark.parametrize("ring", range(2, 11))
def test_every_value_and_threshold_of_small_rings(ring):
    half = 1 << (ring - 1)
    values = list(range(-half, half))
    thresholds = list(range(-half, half + 1, 1 if ring < 7 else 1 << (ring - 6)))
    for rounds in rounds_of(ring, len(thresholds)):
        answers = compared(numbers(values, ring), thresholds, rounds)
        for c, answer in zip(thresholds, answers, strict=True):
            assert np.array_equal(answer, expected(values, c, ring)), f"threshold {c}, rounds {rounds}"


@pytest.mark.parametrize("ring", range(2, 11))
def test_every_value_with_one_threshold_and_every_tree(ring):
    # One threshold and many have different trees.
    half = 1 << (ring - 1)
    values = list(range(-half, half))
    for rounds, c in itertools.product(rounds_of(ring), (0, 1, -half, half - 1, half // 3)):
        (answer,) = compared(numbers(values, ring), [c], rounds)
        assert np.array_equal(answer, expected(values, c, ring)), f"threshold {c}, rounds {rounds}"


@pytest.mark.parametrize(("ring", "rounds"), [(4, None), (5, None), (5, 2)])
def test_every_slot_of_every_value(ring, rounds):
    x = [axis.reshape(-1).astype(np.uint32) for axis in np.indices((1 << ring,) * 3)]
    values = (sum(x).astype(np.int64) + (1 << (ring - 1))) % (1 << ring) - (1 << (ring - 1))
    thresholds = [0, -3] if ring > 4 else list(range(-8, 9))
    answers = compared(of_slots(x, ring), thresholds, rounds)
    for c, answer in zip(thresholds, answers, strict=True):
        assert np.array_equal(answer, expected(values.tolist(), c, ring))


LARGE = (12, 16, 17, 24, 31, 32, 33, 48, 63, 64)


@pytest.mark.parametrize("ring", LARGE)
def test_edges_of_large_rings(ring):
    half = 1 << (ring - 1)
    draw = np.random.default_rng(ring)
    some = [int.from_bytes(draw.bytes(8), "little") % (2 * half) - half for _ in range(100)]
    powers = [sign << bit for bit in range(ring - 1) for sign in (1, -1)]
    thresholds = [0, 1, -1, half - 1, -half, half, half // 3, -half // 3, *some[:3]]
    near = [c + e for c in [*thresholds, *powers] for e in (-1, 0, 1)]
    values = [v for v in (*near, *some) if -half <= v < half]
    for rounds in rounds_of(ring, len(thresholds)):
        answers = compared(numbers(values, ring), thresholds, rounds)
        for c, answer in zip(thresholds, answers, strict=True):
            assert np.array_equal(answer, expected(values, c, ring)), f"threshold {c}, rounds {rounds}"


@pytest.mark.parametrize("ring", LARGE)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (8,), (3, 0, 2), (2, 3, 5)], ids=str)
def test_shapes_are_kept(ring, shape):
    values = np.arange(int(np.prod(shape))).reshape(shape) - 3
    (answer,) = compared(numbers(values, ring), [0])
    assert np.array_equal(answer, values < 0)


# Either side of what is cut into parts, of blocks of the kernels, and of whole bytes.
@pytest.mark.parametrize("size", [255, 2047, 2048, 2049, 3071, 3072, 3073, 6149, 20001])
@pytest.mark.parametrize("ring", [9, 33])
def test_sizes(size, ring):
    values = np.arange(size) % 251 - 125
    for c, answer in zip((0, 7), compared(numbers(values, ring), [0, 7]), strict=True):
        assert np.array_equal(answer, values < c)


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: np.ascontiguousarray(a[::-1])[::-1],
        np.asfortranarray,
        lambda a: np.frombuffer(b"12345" + a.tobytes(), a.dtype, offset=5).reshape(a.shape),
        lambda a: np.broadcast_to(a[:, :1], a.shape),
    ],
    ids=["strided", "backwards", "columns first", "unaligned and read-only", "broadcast"],
)
@pytest.mark.parametrize("ring", [12, 40])
def test_layouts(layout, ring):
    values = np.repeat(np.arange(41) - 20, 7).reshape(41, 7)
    x = numbers(values[:, :1], ring)
    slots = [s.each(lambda slot: layout(np.tile(slot, (1, 7)))) for s in x]
    (answer,) = compared(slots, [3])
    assert np.array_equal(answer, values < 3)


def test_no_thresholds_take_nothing():
    assert compared(numbers([1, 2], 8), []) == []
    assert less_cost(8, 2, 0).bytes == 0


@st.composite
def a_comparison(draw):
    ring = draw(st.integers(2, 64))
    half = 1 << (ring - 1)
    any_number = st.integers(-half, half - 1) | st.integers(max(-half, -20), min(half - 1, 20))
    shape = tuple(draw(st.lists(st.integers(0, 5), max_size=3)))
    size = int(np.prod(shape))
    values = np.array(draw(st.lists(any_number, min_size=size, max_size=size)), object).reshape(shape)
    thresholds = draw(st.lists(any_number, max_size=4))
    return ring, values, thresholds, draw(st.sampled_from([None, 4, 5])), draw(st.integers(0, 2**32))


@given(st.lists(a_comparison(), max_size=3))
@settings(max_examples=80, deadline=None)
def test_any_comparisons_are_right_and_share_rounds(batch):
    slots = [numbers(values, ring, seed) for ring, values, _, _, seed in batch]

    def step(party):
        return together(
            [
                less(party, x[party.rank], thresholds, rounds)
                for x, (_, _, thresholds, rounds, _) in zip(slots, batch, strict=True)
            ]
        )

    results, cost = three(step)
    stated = [less_cost(ring, v.size, len(c), rounds) for ring, v, c, rounds, _ in batch]
    assert cost == (sum(c.bytes for c in stated), max((c.rounds for c in stated), default=0))
    for i, (ring, values, thresholds, _, _) in enumerate(batch):
        for j, c in enumerate(thresholds):
            answer = opened([of_party[i][j] for of_party in results])
            assert answer.shape == values.shape
            assert np.array_equal(answer.reshape(-1), expected(values.reshape(-1).tolist(), c, ring))


@pytest.mark.parametrize(
    ("ring", "thresholds", "rounds", "bytes_", "of"),
    [
        (4, 1, 2, 1.25, None),
        (8, 1, 3, 3.375, None),
        (8, 4, 3, 6.25, None),
        (12, 1, 3, 6.125, None),
        (16, 1, 3, 9.625, None),
        (16, 1, 4, 7.75, 4),
        (32, 1, 4, 18.5, None),
        (64, 1, 4, 44.875, None),
        (64, 1, 5, 37.875, 5),
    ],
)
def test_costs_are_those_promised(ring, thresholds, rounds, bytes_, of):
    cost = less_cost(ring, 8000, thresholds, of)
    assert (cost.bytes / 8000, cost.rounds) == (bytes_, rounds)


def row_of_costs(ring, thresholds, rounds=None):
    """A row of the table in docs/explanation/protocols.md."""
    tree, cost = comparison_tree(ring, thresholds, rounds), less_cost(ring, 8000, thresholds, rounds)
    joins = "; ".join(" ".join(str(made.runs) for made in level) for level in tree.levels)
    digits = " ".join(map(str, tree.sizes))
    return f"| {ring} | {thresholds} | {digits} | {joins} | {cost.bytes / 8000:g} | {cost.rounds} |"


def test_the_table_of_costs_in_the_docs_is_fresh():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "protocols.md").read_text()
    one = [row_of_costs(ring, 1) for ring in (4, 8, 12, 16, 24, 32, 64)]
    many = [row_of_costs(8, 2), row_of_costs(8, 4), row_of_costs(12, 2), row_of_costs(16, 2)]
    for row in [*one, *many, row_of_costs(16, 1, 4), row_of_costs(64, 1, 5)]:
        assert row in page


@pytest.mark.parametrize(
    ("runs", "row"), [(2, (2, 3, 1, 2)), (3, (4, 5, 4, 7)), (4, (6, 7, 11, 18)), (5, (8, 9, 26, 41))]
)
def test_what_a_join_takes_is_what_the_docs_say(runs, row):
    greater, both = join(runs, False, True), join(runs, True, False)
    assert (len(greater.opened), len(both.opened), len(greater.dealt), len(both.dealt)) == row


@pytest.mark.parametrize("ring", range(2, 65))
def test_more_rounds_never_take_more_bytes(ring):
    for thresholds in (1, 2, 5, 20):
        bits = []
        for rounds in range(2, 6):
            try:
                tree = comparison_tree(ring, thresholds, rounds)
            except ValueError:
                continue
            assert sum(tree.sizes) == ring - 1
            assert tree.rounds <= rounds
            bits.append(tree.bits(thresholds))
        assert bits == sorted(bits, reverse=True)


def test_rings_and_rounds_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match=r"ring of 1 bits: 2 to 64"):
        comparison_tree(1)
    with pytest.raises(ValueError, match=r"ring of 65 bits: 2 to 64"):
        comparison_tree(65)
    with pytest.raises(ValueError, match=r"ring of 16 bits takes more than 2 rounds"):
        comparison_tree(16, 1, 2)


def test_large_tensors_load_all_parties_alike():
    values = np.arange(30000) - 15000
    slots = numbers(values, 16)
    sent = sent_by(lambda party: less(party, slots[party.rank], [0]))
    assert max(sent) < 1.02 * min(sent)


# What each party sees. All elements have the same slots, so that they repeat one experiment in which only
# the masks are random: all that a party receives and knows must be uniform together. In ring 5 with three
# rounds a view is 13 bits, and every sum of them is tested: the simulator draws them all.

SAMPLES = 1 << 15
SMALL = [(0, 0, 0), (0, 0, 31), (5, 14, 9), (21, 3, 7), (15, 1, 16), (30, 31, 2)]
WIDE = [(0, 0, 0), (0x1234, 0x0F0F, 5), (0x0FFF, 1, -0x1000), (-1, -1, 1)]


def comparison_of(inputs, ring, thresholds, rounds=None):
    x = [np.full(SAMPLES, words(v, ring)) for v in inputs]
    return lambda party: less(party, Shared(ring, x[party.rank], x[(party.rank + 1) % 3]), thresholds, rounds)


def least(inputs, faults=None, ring=5, thresholds=(0,), rounds=None):
    test = least_unbiased if ring <= 5 and len(thresholds) == 1 else least_unbiased_pair
    return min(
        test(rows_of([*received, *known], SAMPLES))
        for received, known in views(comparison_of(inputs, ring, thresholds, rounds), faults)
    )


@pytest.mark.parametrize("inputs", SMALL, ids=str)
@pytest.mark.parametrize("rounds", [2, 3])
def test_all_that_a_party_sees_is_uniform(inputs, rounds):
    # A single digit has a query of 15 bits, which is the most that is tested whole.
    assert least(inputs, rounds=rounds) > 1e-9


@pytest.mark.parametrize("inputs", WIDE, ids=str)
@pytest.mark.parametrize(("thresholds", "rounds"), [((0,), 3), ((0, 77), 3), ((0, -5, 3), 4)])
def test_what_a_party_sees_in_a_larger_ring_is_uniform(inputs, thresholds, rounds):
    assert least(inputs, ring=16, thresholds=thresholds, rounds=rounds) > 1e-9


def masks_of(step):
    """Every mask that a pair draws, as a key of faults."""
    drawn = []

    def party_step(party):
        result = yield from step(party)
        drawn.extend((*sorted((party.rank, role)), n) for role, n, _ in party.watched.taken)
        return result

    views(party_step)
    return sorted(set(drawn))


def test_the_masks_are_those_of_the_proof():
    # P0 and P2: the query's, those of opened bits, of dealt bits and b_0; P0 and P1: of opened bits, and b_1.
    assert masks_of(comparison_of(SMALL[0], 5, [0])) == [
        *((0, 1, n) for n in range(2)),
        *((0, 2, n) for n in range(4)),
    ]


@pytest.mark.parametrize("mask", [(0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 2, 1), (0, 2, 2), (0, 2, 3)])
def test_a_dropped_mask_is_noticed(mask):
    assert min(least(inputs, {mask: "dropped"}) for inputs in SMALL) < 1e-12


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
def test_reused_masks_of_a_pair_are_noticed(pair):
    assert min(least(inputs, {(*pair, None): "reused"}) for inputs in SMALL) < 1e-12


@pytest.mark.parametrize("pair", [(0, 1), (0, 2)])
def test_dropped_masks_of_a_pair_are_noticed_in_a_larger_ring(pair):
    assert min(least(inputs, {(*pair, None): "dropped"}, ring=16) for inputs in WIDE) < 1e-12


# Trees that are small enough to test whole views of: three runs at once, and two levels of joins.
THREE_AT_ONCE = Tree((2, 1, 1), ((join(3, False, True),),))
LOWEST_FIRST = Tree((2, 1, 1), ((join(2, False, False), join(1, True, False)), (join(2, False, True),)))
HIGHEST_FIRST = Tree((1, 1, 1), ((join(1, False, False), join(2, True, False)), (join(2, False, True),)))
TREES = [THREE_AT_ONCE, LOWEST_FIRST, HIGHEST_FIRST]


@pytest.mark.parametrize("tree", TREES, ids=["three at once", "lowest first", "highest first"])
def test_other_trees_are_right_and_show_nothing(tree, monkeypatch):
    monkeypatch.setattr("ditto.runtime.protocols.less.comparison_tree", lambda *_: tree)
    ring = sum(tree.sizes) + 1
    half = 1 << (ring - 1)
    values = list(range(-half, half)) * 8
    x = numbers(values, ring)
    results, _ = three(lambda party: less(party, x[party.rank], [1, -2]))
    for i, c in enumerate((1, -2)):
        answer = opened([answers[i] for answers in results])
        assert np.array_equal(answer, expected(values, c, ring))
    for inputs in SMALL[2:4]:
        assert least(inputs, ring=ring) > 1e-9
    for mask in masks_of(comparison_of(SMALL[0], ring, [0])):
        assert min(least(inputs, {mask: "dropped"}, ring=ring) for inputs in SMALL[2:4]) < 1e-12


def test_masks_are_not_reused_from_one_comparison_to_the_next():
    x = numbers(np.zeros(64, np.int64), 8)

    def step(party):
        drawn = []
        original = party.seat

        def seat():
            made = original()
            take = made.draw

            def draw(role, size):
                data = take(role, size)
                drawn.append(data.tobytes())
                return data

            made.draw = draw
            return made

        party.seat = seat
        for _ in range(3):
            yield from less(party, x[party.rank], [0, 1])
        return drawn

    for drawn in three(step)[0]:
        assert len(set(drawn)) == len(drawn)
