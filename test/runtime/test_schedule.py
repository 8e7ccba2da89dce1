"""What instructions on shares send and how many rounds they take: as the schedule of the compiler says."""

import math

import numpy as np
import pytest
from sketch import Sketch

from ditto_compiler.encoding import Fxp, Int
from ditto_compiler.executor.instruction import NAMES, Instruction, InstructionError, Tensor, check
from ditto_compiler.oneshot.fit import fit

FUNCTION = fit(np.tanh, -4.0, 4.0, ring_frac=8, result=(16, 10), error=0.01)
SIZES = ((5,), (64, 50), (1,), (0,), (3, 0), (3072,), (3073,))


def one_of(op, shape):
    """A sketch with one instruction of a kind."""
    s = Sketch()
    a, b = s.number(*shape), s.number(*shape)
    p, q = s.bit(*shape), s.bit(*shape)
    match op:
        case "multiply":
            s.add(op, (a, b), shape, Fxp(12, 8))
        case "square":
            s.add("multiply", (a, a), shape, Fxp(12, 8))
        case "dot_general":
            n = math.prod(shape)
            names = ("left_batch", "right_batch", "left_contracting", "right_contracting")
            dims = dict(zip(names, ((), (), (1,), (0,)), strict=True))
            s.add(op, (s.number(n, 3), s.number(3, 2)), (n, 2), Fxp(12, 8), **dims)
        case "convolution":
            n = math.prod(shape)
            ones = {name: (1,) for name in ("strides", "left_dilation", "right_dilation")}
            zeros = {name: (0,) for name in ("low", "high", "reverse")}
            order = {"input": (0, 1, 2), "kernel": (0, 1, 2), "output": (0, 1, 2), "groups": 1}
            images = s.number(n, 2, 4), s.number(3, 2, 3)
            s.add(op, images, (n, 3, 2), Fxp(12, 8), **ones, **zeros, **order, batch_groups=1)
        case "and" | "or":
            s.add(op, (p, q), shape, is_bit=True)
        case "any" | "all":
            s.add(op, (p,), shape[:-1], is_bit=True, dimensions=(len(shape) - 1,))
        case "any_of_first" | "all_of_first":
            s.add(op[:3], (p,), shape[1:], is_bit=True, dimensions=(0,))
        case "less":
            s.add(op, (a,), shape, is_bit=True, thresholds=(-3, 0, 100))
        case "oneshot":
            ring = FUNCTION.ring
            x = s.number(*shape, ring=ring, frac=FUNCTION.frac)
            s.add(op, (x,), shape, Fxp(16, 10), **attributes_of(FUNCTION))
        case "select":
            s.add(op, (p, a, b), shape, Fxp(20, 8))
        case "select_by_one":
            s.add("select", (s.bit(), a, b), shape, Fxp(20, 8))
        case "select_public":
            s.add("select", (p, s.number(*shape, secret=False), b), shape, Fxp(20, 8))
        case "select_of_public":
            numbers = (s.number(*shape, secret=False) for _ in range(2))
            s.add("select", (p, *numbers), shape, Fxp(20, 8))
        case "convert":
            s.add(op, (p,), shape, Fxp(30, 8))
        case "widen":
            s.add("cast", (a,), shape, Fxp(40, 8))
        case "truncate":
            s.add("cast", (a,), shape, Fxp(20, 3))
        case "narrow":
            s.add("cast", (a,), shape, Fxp(12, 3))
        case "by_public":
            s.add("multiply", (a, s.number(*shape, secret=False)), shape, Fxp(12, 8))
        case "sum":
            s.add(op, (a,), (), dimensions=tuple(range(len(shape))))
    return s


def attributes_of(terms):
    made = terms.to_attributes()
    return {key: tuple(value) if isinstance(value, list) else value for key, value in made.items()}


KINDS = (
    *("multiply", "square", "dot_general", "convolution", "and", "or", "any", "all", "any_of_first"),
    *("all_of_first", "less", "oneshot", "select", "select_by_one", "select_public", "select_of_public"),
    *("convert", "widen", "truncate", "narrow", "by_public", "sum"),
)


@pytest.mark.parametrize("op", KINDS)
def test_each_instruction_takes_what_is_predicted(op):
    for shape in SIZES:
        planned, _ = one_of(op, shape).check()
        assert (planned.rounds == 0) == (planned.bytes == 0)


@pytest.mark.parametrize("op", KINDS)
def test_each_instruction_takes_what_is_predicted_when_p0_goes_ahead(op):
    for shape in SIZES:
        sketch = one_of(op, shape)
        planned, values = sketch.check_ahead()
        ordinary, expected = sketch.check()
        assert sum(planned.dealt) + planned.bytes == ordinary.bytes
        assert planned.rounds == (ordinary.rounds if ordinary.rounds <= 1 else ordinary.rounds - 1)
        for result in sketch.instructions[0].results:
            # All that depends on masks is how a number is rounded.
            difference = sketch.open(values, result).astype(int) - sketch.open(expected, result).astype(int)
            assert np.abs(difference).max(initial=0) <= (8 if op == "oneshot" else 3)


@pytest.mark.parametrize("op", KINDS)
def test_what_is_local_and_what_is_not(op):
    planned = one_of(op, (4, 5)).planned
    assert (planned.rounds == 0) == (op in ("narrow", "by_public", "sum"))


def test_every_instruction_has_a_cost():
    """None is local for want of a rule."""
    tried = {one.op for op in KINDS for one in one_of(op, (2, 2)).instructions}
    moves = {"reshape", "transpose", "broadcast_in_dim", "slice", "concatenate", "pad", "reverse"}
    moves |= {"gather", "dynamic_slice", "dynamic_update_slice"}
    assert tried | moves | {"constant", "iota", "add", "subtract", "negate", "xor", "not"} == set(NAMES)


NUMBERS = Fxp(20, 8)
PLACE = Tensor((), False, Int(64), secret=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"place": Tensor((), False, Int(64), secret=True)}, "indices that are public integers"),
        ({"place": Tensor((), False, NUMBERS, secret=False)}, "indices that are public integers"),
        ({"place": Tensor((1,), False, Int(64), secret=False)}, "indices that are public integers"),
        ({"places": 1}, "an index for each dimension"),
        ({"sizes": (2, 6)}, "sizes that fit"),
        ({"sizes": (-1, 3)}, "sizes that fit"),
        ({"sizes": (2,)}, "2 integers in sizes"),
        ({"sizes": (1, 3)}, "shape"),
        ({"unsigned": 2}, "0 or 1"),
    ],
)
def test_slices_are_at_public_places_that_they_fit(changes, message):
    """Also in programs of others, which were not compiled here."""
    about = {"sizes": (2, 3), "unsigned": 0, "place": PLACE, "places": 2, **changes}
    x, part = Tensor((4, 5), False, NUMBERS, secret=True), Tensor((2, 3), False, NUMBERS, secret=True)
    attributes = {"sizes": about["sizes"], "unsigned": about["unsigned"]}
    starts = [about["place"]] * about["places"]
    for op, operands, result in (
        ("dynamic_slice", [x, *starts], part),
        ("dynamic_update_slice", [x, part, *starts], x),
    ):
        numbers = tuple(range(len(operands) + 1))
        one = Instruction(op, numbers[:-1], numbers[-1:], attributes)
        if message is None:
            check(one, operands, [result])
        else:
            wanted = (
                "an update of the sizes" if (op, message) == ("dynamic_update_slice", "shape") else message
            )
            with pytest.raises(InstructionError, match=wanted):
                check(one, operands, [result])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"rows": Tensor((3, 1), False, Int(64), secret=True)}, "indices that are public integers"),
        ({"rows": Tensor((3, 1), False, NUMBERS, secret=False)}, "indices that are public integers"),
        ({"rows": Tensor((2, 1), False, Int(64), secret=False)}, "an index for each row"),
        ({"x": Tensor((0, 5), False, NUMBERS, secret=True)}, "rows to choose from"),
        ({"x": Tensor((4, 6), False, NUMBERS, secret=True)}, "shape"),
        ({"x": Tensor((), False, NUMBERS, secret=True)}, "rows to choose from"),
        ({"unsigned": 2}, "0 or 1"),
    ],
)
def test_rows_are_gathered_at_public_places(changes, message):
    x, rows = Tensor((4, 5), False, NUMBERS, secret=True), Tensor((3, 1), False, Int(64), secret=False)
    about = {"x": x, "rows": rows, "unsigned": 0, **changes}
    one = Instruction("gather", (0, 1), (2,), {"unsigned": about["unsigned"]})
    result = Tensor((3, 5), False, NUMBERS, secret=True)
    if message is None:
        check(one, [about["x"], about["rows"]], [result])
    else:
        with pytest.raises(InstructionError, match=message):
            check(one, [about["x"], about["rows"]], [result])


def test_protocols_start_when_what_they_need_is_there():
    """A short chain and a long one: rounds are those of the long one, and the short one's are not on it."""
    s = Sketch()
    x, y = s.number(6), s.number(6)
    low = s.add("less", (x,), (6,), is_bit=True, thresholds=(0,))
    chosen = s.add("select", (low, x, y), (6,), Fxp(20, 8))
    total = s.add("add", (chosen, chosen), (6,))
    s.add("multiply", (total, x), (6,), Fxp(12, 8))
    wide = s.add("cast", (y,), (6,), Fxp(40, 8))
    s.add("multiply", (wide, wide), (6,), Fxp(32, 8))
    planned, values = s.check()
    compared = planned.costs[0].rounds
    assert planned.starts == (0, compared, compared + 2, compared + 2, 0, 2)
    assert planned.rounds == compared + 3
    assert planned.critical == (0, 1, 3)
    a, b = s.inputs[x], s.inputs[y]
    z = np.where(a < 0, a, b)
    assert np.abs(s.open(values, 5) - 2 * z * a / 256).max() < 2
    assert np.abs(s.open(values, 7) - b * b / 256).max() < 2


def test_messages_are_shared():
    """Six products send as many messages as one; what a comparison deals goes the other way round."""
    s = Sketch()
    for _ in range(6):
        s.add("multiply", (s.number(9), s.number(9)), (9,), Fxp(12, 8))
    s.add("less", (s.number(9),), (9,), is_bit=True, thresholds=(0,))
    planned, _ = s.check()
    assert planned.messages[:3] == (tuple(range(6)),) * 3
    assert all(sharing == (6,) for sharing in planned.messages[3:])


def program_of_many_instructions(seed):
    random = np.random.default_rng(seed)
    shape = [(7,), (40, 80)][seed % 2]
    s = Sketch()
    numbers, bits = [s.number(*shape) for _ in range(3)], [s.bit(*shape)]
    for _ in range(40):
        a, b = random.choice(numbers, 2)
        p, q = random.choice(bits, 2)
        encoding = Fxp(20, 8)
        match random.integers(0, 9):
            case 0:
                half = s.add("multiply", (a, b), shape, Fxp(12, 8))
                numbers.append(s.add("cast", (half,), shape, encoding))
            case 1:
                numbers.append(s.add("add", (a, b), shape))
            case 2:
                bits.append(s.add("less", (a,), shape, is_bit=True, thresholds=(0, 5)) + 1)
            case 3:
                numbers.append(s.add("select", (p, a, b), shape, encoding))
            case 4:
                bits.append(s.add("and", (p, q), shape, is_bit=True))
            case 5:
                numbers.append(s.add("convert", (p,), shape, encoding))
            case 6:
                numbers.append(s.add("negate", (a,), shape))
            case 7:
                found = s.add("any", (p,), shape[:-1], is_bit=True, dimensions=(len(shape) - 1,))
                kept = tuple(range(len(shape) - 1))
                bits.append(s.add("broadcast_in_dim", (found,), shape, is_bit=True, dimensions=kept))
            case 8:
                bits.append(s.add("xor", (p, q), shape, is_bit=True))
    return s


@pytest.mark.parametrize("seed", range(12))
def test_programs_of_many_instructions(seed):
    program_of_many_instructions(seed).check()


@pytest.mark.parametrize("seed", range(12))
def test_programs_of_many_instructions_when_p0_goes_ahead(seed):
    program_of_many_instructions(seed).check_ahead()


def test_critical_chain_takes_all_rounds():
    s = Sketch()
    x = s.number(4)
    for _ in range(5):
        x = s.add("cast", (s.add("multiply", (x, x), (4,), Fxp(12, 8)),), (4,), Fxp(20, 8))
    planned = s.planned
    assert planned.critical == tuple(range(10))
    assert sum(planned.costs[i].rounds for i in planned.critical) == planned.rounds == 15
