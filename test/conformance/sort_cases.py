"""Sorts by every kind of comparator, stable ones of several operands, and top_k."""

from functools import cmp_to_key

import numpy as np
from case_builders import (
    BOTH,
    F32,
    F64,
    FLOATS,
    I32,
    I64,
    INTS,
    array,
    case,
    code,
    compare,
    ends,
    is_float,
    numbers,
    one_op,
    wide,
)


def sorted_lanes(operands, axis, before):
    """All operands in the stable order of a predicate on rows of Python's numbers."""
    moved = [np.moveaxis(x, axis, -1) for x in operands]
    results = [x.copy() for x in moved]
    for place in np.ndindex(*moved[0].shape[:-1]):
        rows = list(zip(*(to_python(x[place]) for x in moved), strict=True))
        order = sorted(
            range(len(rows)),
            key=cmp_to_key(lambda i, j, rows=rows: before(rows[j], rows[i]) - before(rows[i], rows[j])),
        )
        for x, result in zip(moved, results, strict=True):
            result[place] = x[place][order]
    return tuple(np.moveaxis(result, -1, axis).copy() for result in results)


def to_python(x):
    return (x.astype(F64) if is_float(x.dtype) else x).tolist()


def sort(name, operands, axis, comparator, before, *, stable=True, references=BOTH):
    """`comparator` computes %less from %x0, %y0, %x1, %y1, ...: one element of each operand on each side."""
    count = len(operands)
    letters = "abcd"[:count]
    parameters = ", ".join(f"%x{i}: ${letter}0, %y{i}: ${letter}0" for i, letter in enumerate(letters))
    values = ", ".join(f"%{letter}" for letter in letters)
    types = ", ".join(f"${letter}" for letter in letters)
    body = (
        f'%r{f":{count}" if count > 1 else ""} = "stablehlo.sort"({values}) '
        f"<{{dimension = {axis} : i64, is_stable = {str(stable).lower()}}}> ({{\n^bb0({parameters}):\n"
        f'{comparator}"stablehlo.return"(%less) : (tensor<i1>) -> ()\n}}) : ({types}) -> ({types})'
    )
    expected = sorted_lanes(operands, axis, before)
    return case(f"sort_{name}", "stablehlo.sort", body, operands, expected, exact=True, references=references)


def by(direction, operand=0):
    """The comparator of one operand, as text and as a predicate."""
    letter = "abcd"[operand]
    text = compare("%less", f"%x{operand}", f"%y{operand}", direction, f"${letter}0")
    if direction in ("LT", "LE"):
        return text, lambda x, y: x[operand] < y[operand]
    return text, lambda x, y: x[operand] > y[operand]


def by_absolute_value():
    text = "%ax = stablehlo.abs %x0 : $a0\n%ay = stablehlo.abs %y0 : $a0\n"
    return text + compare("%less", "%ax", "%ay", "LT", "$a0"), lambda x, y: abs(x[0]) < abs(y[0])


def by_negative():
    text = "%nx = stablehlo.negate %x0 : $a0\n%ny = stablehlo.negate %y0 : $a0\n"
    return text + compare("%less", "%nx", "%ny", "LT", "$a0"), lambda x, y: x[0] > y[0]


def zero(dtype):
    value = "0.0" if is_float(dtype) else "0"
    return f'%z = "stablehlo.constant"() <{{value = dense<{value}> : $a0}}> : () -> $a0\n'


def by_difference(dtype):
    text = "%d = stablehlo.subtract %x0, %y0 : $a0\n" + zero(dtype)
    return text + compare("%less", "%d", "%z", "LT", "$a0"), lambda x, y: x[0] < y[0]


def by_two_keys():
    """Lexicographic: the first key ascending, then the second descending."""
    text = compare("%first", "%x0", "%y0", "LT", "$a0") + compare("%same", "%x0", "%y0", "EQ", "$a0")
    text += compare("%second", "%x1", "%y1", "GT", "$b0")
    text += (
        "%tie = stablehlo.and %same, %second : tensor<i1>\n%less = stablehlo.or %first, %tie : tensor<i1>\n"
    )
    return text, lambda x, y: x[0] < y[0] or (x[0] == y[0] and x[1] > y[1])


def by_selected_key(dtype):
    """The comparator chooses its key by a comparison with a constant: negative numbers last."""
    text = zero(dtype) + compare("%xn", "%x0", "%z", "LT", "$a0") + compare("%yn", "%y0", "%z", "LT", "$a0")
    text += compare("%l", "%x0", "%y0", "LT", "$a0")
    text += "%differ = stablehlo.xor %xn, %yn : tensor<i1>\n"
    text += "%less = stablehlo.select %differ, %yn, %l : tensor<i1>, tensor<i1>\n"
    return text, lambda x, y: y[0] < 0 if (x[0] < 0) != (y[0] < 0) else x[0] < y[0]


def of_one_operand():
    for dtype in (*INTS, *FLOATS):
        x = numbers(dtype, 3, 7, seed=1) if is_float(dtype) else wide(dtype, 3, 7, seed=1)
        for label, direction in (("ascending", "LT"), ("descending", "GT")):
            yield sort(f"{code(dtype)}_{label}", (x,), 1, *by(direction))
    flags = np.array([True, False, True, True, False])
    yield sort("i1_ascending", (flags,), 0, *by("LT"))
    yield sort("i1_carries_indices", (flags, np.arange(5, dtype=I32)), 0, *by("GT"))
    for dtype in INTS:
        yield sort(f"{code(dtype)}_range_ends", (ends(dtype)[::-1].copy(),), 0, *by("LT"))
    for dtype in (I32, F32):
        name = code(dtype)
        x = numbers(dtype, 4, 5, seed=2)
        yield sort(f"{name}_down_columns", (x,), 0, *by("LT"))
        yield sort(f"{name}_negative_axis", (x,), -1, *by("LT"))
        yield sort(f"{name}_middle_axis", (numbers(dtype, 2, 4, 3, seed=3),), 1, *by("GT"))
        yield sort(f"{name}_by_absolute_value", (x,), 1, *by_absolute_value())
        yield sort(f"{name}_by_negative", (x,), 1, *by_negative())
        yield sort(f"{name}_by_difference", (x,), 1, *by_difference(dtype))
        yield sort(f"{name}_by_selected_key", (x,), 1, *by_selected_key(dtype))
        yield sort(f"{name}_with_duplicates", (array([2, 1, 2, 1, 1, 2, 0], dtype),), 0, *by("LT"))
        yield sort(f"{name}_unstable", (numbers(dtype, 9, seed=4),), 0, *by("LT"), stable=False)
        yield sort(f"{name}_sorted_already", (array([-3, -1, 0, 2, 9], dtype),), 0, *by("LT"))
        yield sort(f"{name}_all_equal", (array([4, 4, 4, 4], dtype),), 0, *by("LT"))
        yield sort(f"{name}_one_element", (array([5], dtype),), 0, *by("LT"))
        yield sort(f"{name}_extent_1", (numbers(dtype, 3, 1, seed=5),), 1, *by("LT"))
        yield sort(f"{name}_empty", (np.zeros((0,), dtype),), 0, *by("LT"))
        yield sort(f"{name}_empty_lanes", (np.zeros((0, 3), dtype),), 1, *by("LT"))
        yield sort(f"{name}_of_17", (numbers(dtype, 17, seed=6),), 0, *by("LT"))
        pairs = np.repeat(array([3, -1, 2], dtype), 2) * array([1, -1] * 3, dtype)
        yield sort(f"{name}_ties_by_absolute_value", (pairs,), 0, *by_absolute_value())


def of_several_operands():
    keys = array([[2, 1, 2, 1, 0, 2], [5, 5, 5, 5, 5, 5]], I32)
    order = np.broadcast_to(np.arange(6, dtype=I32), (2, 6)).copy()
    for dtype in (I32, I64, F32):
        x = keys.astype(dtype)
        for label, direction in (("ascending", "LT"), ("descending", "GT")):
            yield sort(f"{code(dtype)}_keys_carry_indices_{label}", (x, order), 1, *by(direction))
        yield sort(f"{code(dtype)}_by_the_second_operand", (order, x), 1, *by("LT", 1))
        yield sort(f"{code(dtype)}_by_two_keys", (x, numbers(dtype, 2, 6, seed=7)), 1, *by_two_keys())
    mixed = (numbers(F32, 6, seed=8), order[0], np.array([True, False, True, True, False, False]))
    yield sort("three_operands_by_the_first", mixed, 0, *by("LT"))
    yield sort("three_operands_by_the_second", mixed, 0, *by("GT", 1))
    x = array([1.5, -2, 1.5, 0.25], F32)
    yield sort("f32_carries_its_square", (x, x * x), 0, *by("GT", 1))
    y = numbers(F32, 4, 3, seed=9)
    yield sort("f32_two_operands_down_columns", (y, numbers(I32, 4, 3, seed=9)), 0, *by("LT"))


def top_k():
    ties = [[3, 9, 9, -1, 3, 9], [0, 0, 0, 0, 0, 0], [-5, -4, -3, -2, -1, 0]]
    for dtype in (I32, F32, F64):
        x = array(ties, dtype)
        for k in (1, 3, 6):
            order = np.argsort(-x, axis=1, kind="stable")[:, :k]
            yield one_op(
                f"top_{k}_{code(dtype)}",
                "chlo.top_k",
                (x,),
                (np.take_along_axis(x, order, 1), order.astype(I32)),
                f"k = {k} : i64",
                exact=True,
            )
    x = array([4, 8, 6], F32)
    yield one_op(
        "top_2_f32_of_a_vector",
        "chlo.top_k",
        (x,),
        (array([8, 6], F32), array([1, 2], I32)),
        "k = 2 : i64",
        exact=True,
    )


SORT_CASES = (*of_one_operand(), *of_several_operands(), *top_k())
