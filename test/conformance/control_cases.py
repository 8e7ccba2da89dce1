"""Loops, branches and calls. Conditions are public: loop counters are constants, an index is named public."""

import numpy as np
from case_builders import BOTH, F32, I32, I64, INTS, array, case, code, compare, i64s, numbers, tensor, wide


def constant(name, value, kind="tensor<i32>"):
    return f'{name} = "stablehlo.constant"() <{{value = dense<{value}> : {kind}}}> : () -> {kind}\n'


def give(*values):
    """A region's return; each value is written "%name: type"."""
    names, types = zip(*(value.split(": ") for value in values), strict=True)
    return f'"stablehlo.return"({", ".join(names)}) : ({", ".join(types)}) -> ()\n'


def loop(result, initial, condition, body):
    """A while; `initial` maps the names inside both regions to "%start: type"."""
    starts, types = zip(*(value.split(": ") for value in initial.values()), strict=True)
    parameters = ", ".join(f"{name}: {kind}" for name, kind in zip(initial, types, strict=True))
    kinds = ", ".join(types)
    return (
        f'{result} = "stablehlo.while"({", ".join(starts)}) ({{\n^bb0({parameters}):\n{condition}}}, '
        f"{{\n^bb0({parameters}):\n{body}}}) : ({kinds}) -> ({kinds})\n"
    )


def counted(result, bound, extra, body, *, start=0, step=1, direction="LT", kind="tensor<i32>"):
    """A loop over %i; `extra` are its other values, `body` computes %next_<name> for each of them."""
    head = constant(f"%start_{result[1:2]}", start, kind) + constant(f"%step_{result[1:2]}", step, kind)
    head += constant(f"%bound_{result[1:2]}", bound, kind)
    initial = {"%i": f"%start_{result[1:2]}: {kind}", **extra}
    condition = compare("%go", "%i", f"%bound_{result[1:2]}", direction, kind) + give("%go: tensor<i1>")
    body += f"%next_i = stablehlo.add %i, %step_{result[1:2]} : {kind}\n"
    values = [f"%next_{name[1:]}: {start.split(': ')[1]}" for name, start in extra.items()]
    return head + loop(result, initial, condition, body + give(f"%next_i: {kind}", *values))


def loops():
    for dtype in (I32, F32):
        x = numbers(dtype, 2, 3, seed=1)
        for count in (0, 1, 5):
            yield case(
                f"while_{code(dtype)}_adds_{count}_times",
                "stablehlo.while",
                counted("%r:2", count, {"%x": "%a: $a"}, "%next_x = stablehlo.add %x, %a : $a\n"),
                (x,),
                x * dtype.type(1 + count),
                returns="%r#1",
            )
    for dtype in INTS:
        kind = f"tensor<{code(dtype)}>"
        x = wide(dtype, 3, seed=2)
        yield case(
            f"while_counts_in_{code(dtype)}",
            "stablehlo.while",
            counted(
                "%r:2",
                100,
                {"%x": "%a: $a"},
                "%next_x = stablehlo.add %x, %x : $a\n",
                start=93,
                step=3,
                kind=kind,
            ),
            (x,),
            x << dtype.type(3),
            returns="%r#1",
        )
    x = array([1, 2], I32)
    down = x
    for i in (2, 1, 0, -1, -2):
        down = down * i - x
    yield case(
        "while_counts_down",
        "stablehlo.while",
        counted(
            "%r:2",
            -3,
            {"%x": "%a: $a"},
            "%b = stablehlo.broadcast_in_dim %i, dims = [] : (tensor<i32>) -> $a\n"
            "%m = stablehlo.multiply %x, %b : $a\n%next_x = stablehlo.subtract %m, %a : $a\n",
            start=2,
            step=-1,
            direction="GT",
        ),
        (x,),
        down,
        returns="%r#1",
    )
    yield case(
        "while_returns_its_counter",
        "stablehlo.while",
        counted("%r:2", 10, {"%x": "%a: $a"}, "%next_x = stablehlo.negate %x : $a\n", step=4),
        (x,),
        (array(12, I32), -x),
    )
    yield case(
        "while_swaps",
        "stablehlo.while",
        counted(
            "%r:3",
            3,
            {"%x": "%a: $a", "%y": "%b: $b"},
            '%next_x = "stablehlo.optimization_barrier"(%y) : ($a) -> $a\n'
            '%next_y = "stablehlo.optimization_barrier"(%x) : ($a) -> $a\n',
        ),
        (x, x * 10),
        (x * 10, x),
        returns="%r#1, %r#2",
    )
    fibonacci = counted(
        "%r:3",
        10,
        {"%x": "%a: $a", "%y": "%b: $b"},
        '%next_x = "stablehlo.optimization_barrier"(%y) : ($a) -> $a\n%next_y = stablehlo.add %x, %y : $a\n',
    )
    yield case(
        "while_fibonacci",
        "stablehlo.while",
        fibonacci,
        (array(0, I64), array(1, I64)),
        array(55, I64),
        returns="%r#1",
    )
    rows = numbers(F32, 4, 3, seed=3)
    window = i64s(1, 3)
    yield case(
        "while_sums_rows",
        "stablehlo.while",
        counted(
            "%r:2",
            4,
            {"%x": "%b: $b"},
            constant("%zero", 0)
            + f'%row = "stablehlo.dynamic_slice"(%a, %i, %zero) <{{slice_sizes = {window}}}> '
            + ": ($a, tensor<i32>, tensor<i32>) -> $b\n%next_x = stablehlo.add %x, %row : $b\n",
        ),
        (rows, np.zeros((1, 3), F32)),
        rows.sum(0, dtype=F32, keepdims=True),
        returns="%r#1",
    )
    yield case(
        "while_writes_rows",
        "stablehlo.while",
        counted(
            "%r:2",
            3,
            {"%x": "%a: $a"},
            constant("%zero", 0)
            + '%next_x = "stablehlo.dynamic_update_slice"(%x, %b, %i, %zero) '
            + ": ($a, $b, tensor<i32>, tensor<i32>) -> $a\n",
            start=1,
        ),
        (rows, array([[1, 2, 3]], F32)),
        np.concatenate([rows[:1], [[1, 2, 3], [1, 2, 3]], rows[3:]]).astype(F32),
        returns="%r#1",
        exact=True,
    )


def conditions():
    """The same five steps by every form of condition a counter may stand in."""
    x = array([1, -6], I32)
    step = "%y = stablehlo.add %x, %a : $a\n"
    for label, start, bound, condition, update, kind in (
        ("le", 1, 5, ("%i", "%bound", "LE"), "add %i, %one", I32),
        ("ne", 0, 5, ("%i", "%bound", "NE"), "add %i, %one", I32),
        ("ge", 4, 0, ("%i", "%bound", "GE"), "subtract %i, %one", I32),
        ("bound_first", 0, 5, ("%bound", "%i", "GT"), "add %i, %one", I32),
        ("doubling", 1, 32, ("%i", "%bound", "LT"), "add %i, %i", I32),
        ("shifting", 31, 0, ("%i", "%bound", "NE"), "shift_right_logical %i, %one", I32),
        ("fractions", 0, 4.5, ("%i", "%bound", "LT"), "add %i, %one", F32),
    ):
        kind = tensor(kind)
        text = constant("%zero", float(start) if "f" in kind else start, kind)
        text += constant("%one", 1.0 if "f" in kind else 1, kind) + constant("%bound", bound, kind)
        text += loop(
            "%r:2",
            {"%i": f"%zero: {kind}", "%x": "%a: $a"},
            compare("%go", *condition, kind) + give("%go: tensor<i1>"),
            step + f"%k = stablehlo.{update} : {kind}\n" + give(f"%k: {kind}", "%y: $a"),
        )
        # XLA's own count of the trips ends the process on a counter that is added to itself.
        references = ("interpreter",) if label == "doubling" else BOTH
        yield case(
            f"while_{label}", "stablehlo.while", text, (x,), x * 6, returns="%r#1", references=references
        )
    # A flag that the loop itself clears.
    text = constant("%true", "true", "tensor<i1>") + loop(
        "%r:2",
        {"%p": "%true: tensor<i1>", "%x": "%a: $a"},
        give("%p: tensor<i1>"),
        step + "%q = stablehlo.not %p : tensor<i1>\n" + give("%q: tensor<i1>", "%y: $a"),
    )
    yield case("while_by_a_flag", "stablehlo.while", text, (x,), (np.array(False), x * 2))


def nested_loops():
    x = array([1, 10], I32)
    inner = counted("%s:2", 3, {"%y": "%x: $a"}, "%next_y = stablehlo.add %y, %a : $a\n").replace("%i", "%j")
    inner = inner.replace("%next_i", "%next_j")
    body = inner + '%next_x = "stablehlo.optimization_barrier"(%s#1) : ($a) -> $a\n'
    yield case(
        "while_nested",
        "stablehlo.while",
        counted("%r:2", 4, {"%x": "%a: $a"}, body),
        (x,),
        x * 13,
        returns="%r#1",
    )
    # The inner loop runs as often as the outer counter says: 0 + 1 + 2 + 3 + 4 times in all.
    triangle = inner.replace(constant("%bound_s", 3), "").replace("%bound_s", "%i")
    body = triangle + '%next_x = "stablehlo.optimization_barrier"(%s#1) : ($a) -> $a\n'
    yield case(
        "while_nested_to_the_outer_counter",
        "stablehlo.while",
        counted("%r:2", 5, {"%x": "%a: $a"}, body),
        (x,),
        x * 11,
        returns="%r#1",
    )
    # Two conditions: the loop ends by whichever comes first.
    both = (
        constant("%zero", 0)
        + constant("%one", 1)
        + constant("%seven", 7)
        + constant("%nine", 9)
        + loop(
            "%r:3",
            {"%i": "%zero: tensor<i32>", "%j": "%nine: tensor<i32>", "%x": "%a: $a"},
            compare("%p", "%i", "%seven", "LT")
            + compare("%q", "%i", "%j", "LT")
            + "%go = stablehlo.and %p, %q : tensor<i1>\n"
            + give("%go: tensor<i1>"),
            "%k = stablehlo.add %i, %one : tensor<i32>\n%l = stablehlo.subtract %j, %one : tensor<i32>\n"
            "%y = stablehlo.add %x, %a : $a\n" + give("%k: tensor<i32>", "%l: tensor<i32>", "%y: $a"),
        )
    )
    yield case(
        "while_until_two_counters_meet",
        "stablehlo.while",
        both,
        (x,),
        (array(5, I32), array(4, I32), x * 6),
    )
    # The bound is an argument: public, or the loop would tell it.
    given = (
        constant("%zero", 0)
        + constant("%one", 1)
        + loop(
            "%r:2",
            {"%i": "%zero: tensor<i32>", "%x": "%a: $a"},
            compare("%go", "%i", "%b", "LT") + give("%go: tensor<i1>"),
            "%k = stablehlo.add %i, %one : tensor<i32>\n%y = stablehlo.multiply %x, %a : $a\n"
            + give("%k: tensor<i32>", "%y: $a"),
        )
    )
    for bound, power in ((3, 4), (0, 1), (-2, 1)):
        yield case(
            f"while_up_to_an_argument_{bound}".replace("-", "minus_"),
            "stablehlo.while",
            given,
            (array([2, -3], I32), array(bound, I32)),
            array([2**power, (-3) ** power], I32),
            returns="%r#1",
            public=(1,),
        )


BRANCHES = (
    "%v{n} = stablehlo.add %b, %b : $b\n",
    "%v{n} = stablehlo.multiply %b, %b : $b\n",
    "%v{n} = stablehlo.negate %b : $b\n",
)


def branches():
    x = numbers(F32, 2, 2, seed=4)
    results = (x + x, x * x, -x)
    regions = [f"{{\n{text.format(n=n)}{give(f'%v{n}: $b')}}}" for n, text in enumerate(BRANCHES)]
    every = f'%r = "stablehlo.case"(%a) ({", ".join(regions)}) : ($a) -> $b'
    for index in (0, 1, 2, 3, -1, 100, 2**31 - 1, -(2**31)):
        yield case(
            f"case_{index}_of_3".replace("-", "minus_"),
            "stablehlo.case",
            every,
            (array(index, I32), x),
            # An index that names no branch takes the last one.
            results[index if 0 <= index < 3 else 2],
            public=(0,),
        )
        if abs(index) < 3:
            yield case(
                f"case_{index}_of_1".replace("-", "minus_"),
                "stablehlo.case",
                f'%r = "stablehlo.case"(%a) ({regions[1]}) : ($a) -> $b',
                (array(index, I32), x),
                results[1],
                public=(0,),
            )
    both = f'%r = "stablehlo.if"(%a) ({regions[0]}, {regions[2]}) : ($a) -> $b'
    for pred in (True, False):
        label = str(pred).lower()
        yield case(
            f"if_{label}", "stablehlo.if", both, (np.array(pred), x), results[0 if pred else 2], public=(0,)
        )
        several = (
            '%r:3 = "stablehlo.if"(%a) ({\n%s = stablehlo.add %b, %b : $b\n'
            + compare("%p", "%c", "%c", "EQ", "$c").replace("-> tensor<i1>", "-> tensor<2xi1>")
            + give("%s: $b", "%c: $c", "%p: tensor<2xi1>")
            + "}, {\n%n = stablehlo.negate %c : $c\n"
            + compare("%p", "%c", "%c", "NE", "$c").replace("-> tensor<i1>", "-> tensor<2xi1>")
            + give("%b: $b", "%n: $c", "%p: tensor<2xi1>")
            + "}) : ($a) -> ($r, $s, $t)"
        )
        y = array([7, -8], I32)
        yield case(
            f"if_{label}_of_several_results",
            "stablehlo.if",
            several,
            (np.array(pred), x, y),
            (x + x, y, y == y) if pred else (x, -y, y != y),
            public=(0,),
        )
    for outer in (True, False):
        for inner in (True, False):
            nested = f'"stablehlo.if"(%c) ({regions[0]}, {regions[1]}) : ($c) -> $b\n'
            yield case(
                f"if_{outer}_{inner}_nested".lower(),
                "stablehlo.if",
                f'%r = "stablehlo.if"(%a) ({{\n%n = {nested}{give("%n: $b")}}}, {regions[2]}) : ($a) -> $b',
                (np.array(outer), x, np.array(inner)),
                results[(0 if inner else 1) if outer else 2],
                public=(0, 2),
            )


def mixtures():
    x = array([3, -4], I32)
    # Iterations 0, 1, 2, 3 take branches 0, 1, 2, 2.
    regions = [f"{{\n{text.format(n=n)}{give(f'%v{n}: $a')}}}" for n, text in enumerate(BRANCHES)]
    body = f'%next_x = "stablehlo.case"(%i) ({", ".join(regions)}) : (tensor<i32>) -> $a\n'
    body = body.replace("%b", "%x").replace("$b", "$a")
    yield case(
        "case_inside_while",
        "stablehlo.case",
        counted("%r:2", 4, {"%x": "%a: $a"}, body),
        (x,),
        (2 * x) ** 2,
        returns="%r#1",
    )
    # Squares and multiplies by the bits of 13, the parity of the counter deciding.
    body = (
        constant("%two", 2)
        + constant("%nothing", 0)
        + "%rest = stablehlo.remainder %i, %two : tensor<i32>\n"
        + compare("%even", "%rest", "%nothing", "EQ")
        + '%next_x = "stablehlo.if"(%even) ({\n%p = stablehlo.add %x, %a : $a\n'
        + give("%p: $a")
        + "}, {\n%q = stablehlo.multiply %x, %x : $a\n"
        + give("%q: $a")
        + "}) : (tensor<i1>) -> $a\n"
    )
    value = x
    for i in range(4):
        value = value * value if i % 2 else value + x
    yield case(
        "if_inside_while",
        "stablehlo.if",
        counted("%r:2", 4, {"%x": "%a: $a"}, body),
        (x,),
        value,
        returns="%r#1",
    )
    region = counted("%w:2", 3, {"%x": "%b: $b"}, "%next_x = stablehlo.add %x, %b : $b\n")
    for pred in (True, False):
        yield case(
            f"while_inside_if_{str(pred).lower()}",
            "stablehlo.while",
            f'%r = "stablehlo.if"(%a) ({{\n{region}{give("%w#1: $b")}}}, '
            f"{{\n{give('%b: $b')}}}) : ($a) -> $b",
            (np.array(pred), x),
            x * 4 if pred else x,
            public=(0,),
        )


def calls():
    x, y = numbers(F32, 3, seed=5), numbers(F32, 3, seed=6)
    combine = (
        "func.func private @combine(%x: $a, %y: $a) -> ($a, $a) {\n%s = stablehlo.add %x, %y : $a\n"
        "%d = stablehlo.subtract %x, %y : $a\nreturn %s, %d : $a, $a\n}\n"
    )
    yield case(
        "call_twice",
        "func.call",
        "%s:2 = call @combine(%a, %b) : ($a, $a) -> ($a, $a)\n"
        "%r:2 = call @combine(%s#1, %s#0) : ($a, $a) -> ($a, $a)",
        (x, y),
        (x + x, -(y + y)),
        functions=combine,
    )
    yield case(
        "call_in_a_loop",
        "func.call",
        counted(
            "%r:2",
            3,
            {"%x": "%a: $a"},
            "%s:2 = func.call @combine(%x, %b) : ($a, $a) -> ($a, $a)\n"
            "%next_x = stablehlo.maximum %s#0, %s#1 : $a\n",
        ),
        (x, y),
        x + 3 * np.abs(y),
        functions=combine,
        returns="%r#1",
    )


CONTROL_CASES = (*loops(), *conditions(), *nested_loops(), *branches(), *mixtures(), *calls())
