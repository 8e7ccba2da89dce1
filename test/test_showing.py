"""What a person sees who evaluates an object: one line, or for a report the report."""

import html
import io
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import ditto
from ditto.planning.result import Measured
from ditto.runtime.caller.inputs import SharedArray
from ditto_compiler.calibration import Ranges
from ditto_compiler.encoding import Fxp
from ditto_compiler.report import make_report
from ditto_compiler.showing import printable, quoted

HOSTILE = '<img src=x onerror="alert(1)">\x1b[31m\n[/bold] & "'


def f32(*shape):
    return jax.ShapeDtypeStruct(shape, np.float32)


def classify(x, w):
    with jax.named_scope("head"):
        return jnp.argmax(x @ w, axis=-1)


@pytest.fixture(scope="module")
def program():
    return ditto.compile(classify, f32(2, 8), f32(8, 3))


def stats(ahead=None):
    numbers = dict.fromkeys(
        (
            *("engine_bytes", "engine_messages", "cast_bytes", "cast_messages", "compare_bytes"),
            *("compare_messages", "beside_rounds", "cpu_seconds"),
        ),
        0,
    )
    return ditto.RunStats(
        **numbers,
        beside_bytes=46_000_000,
        beside_messages=1,
        input_bytes=999,
        seconds=0.36,
        peak_memory=2_000_000,
        ahead=ahead,
    )


AHEAD = ditto.AheadStats(
    bytes=1500, messages=2, input_bytes=0, seconds=0.0456, cpu_seconds=0.1, peak_memory=0
)
MANY = {f"layer{i}:stablehlo.add#0": float(i) for i in range(1000)}


def plan():
    measured = Measured(1e-3, 1e-4, None, 2e6, 10, 7, {"lan": 0.1, "wan": 1.0})
    return ditto.Plan(
        *(ditto.load_policy("ditto"), Ranges(MANY), "x" * 9999, "bytes", 0.01, measured, 0.01, 1.0, 0.0)
    )


@pytest.mark.parametrize(
    ("shown", "says"),
    [
        (
            lambda: ditto.load_policy("ditto"),
            "<Policy 'ditto': 3 rules, 1 choice of forms, rescale='explicit'",
        ),
        (
            lambda: ditto.Rule("wide", op=("stablehlo.add",), ring=64),
            "Rule(name='wide', op=('stablehlo.add',), ring=64)",
        ),
        (lambda: Ranges(MANY), "<Ranges of 1,000 tensors, none above 999 in magnitude>"),
        (lambda: Ranges({}), "<Ranges of 0 tensors>"),
        (plan, "<Plan: 0 rules, error 0.001 of 0.01 asked for, 2 MB in 7 rounds>"),
        (stats, "<RunStats: 46 MB in 1 message, 360 ms, inputs of 999 B, 2 MB of memory a party>"),
        (lambda: stats(AHEAD), "2 MB of memory a party, after <AheadStats: 1.5 kB in 2 messages, 46 ms>>"),
        (
            lambda: ditto.LocalCluster(network="wan"),
            "<LocalCluster of three parties: not running, wan between",
        ),
        (lambda: ditto.Batches(np.zeros((9, 2)), size=4), "<Batches of 4 of 9 examples>"),
        (
            lambda: ditto.Distilled({"w": np.zeros((300, 400))}, Ranges({}), ditto.load_policy("ditto"), ()),
            "<Distilled for 'ditto': 120,000 weights>",
        ),
        (lambda: SharedArray((2, 3), "f32", (Fxp(64, 18),), True, 7, object()), "SharedArray(shape=(2, 3)"),
    ],
)
def test_objects_are_one_short_line(shown, says):
    line = repr(shown())
    assert says in line
    assert "\n" not in line and len(line) < 200 and " at 0x" not in line


def test_a_program_is_one_line_however_large_and_however_it_is_named(program):
    assert repr(program) == "<Program 'classify': policy 'ditto', 2 inputs, 1 output, 1 step>"
    large = program.replace(name=HOSTILE * 50, annotated="x" * 10**6)
    line = repr(large)
    assert line.isprintable() and len(line) < 200
    for region in ditto.compile(classify, f32(2, 8), f32(8, 3), policy="uniform64").regions.values():
        assert region.code and region.code not in repr(region)


def test_a_simulation_says_shapes_and_errors(program):
    x, w = np.ones((2, 8), np.float32), np.ones((8, 3), np.float32)
    assert re.fullmatch(
        r"<Simulation: int32\[2\]; errors of at most .*; no overflows>", repr(ditto.simulate(program, x, w))
    )
    assert repr(ditto.simulate(program, x, w, mode="fast")) == "<Simulation: int32[2]>"
    assert "; 1 overflow>" in repr(ditto.simulate(program, x * 1e6, w * 1e6)).replace("overflows", "overflow")
    many = ditto.Simulation([np.zeros((3, i)) for i in range(9)])
    assert repr(many) == "<Simulation: " + ", ".join(f"float64[3,{i}]" for i in range(4)) + " and 5 more>"
    assert repr(ditto.Simulation((), (), ())) == "<Simulation: no outputs; errors of at most 0; no overflows>"
    unknown = ditto.Simulation(np.zeros(2), (), np.full(2, math.inf))
    assert "errors of at most inf" in repr(unknown)


def test_a_report_shows_itself(program):
    report = program.report()
    assert isinstance(report, str) and str(report) == repr(report) == make_report(program).text()
    assert type(program.report("json")) is type(program.report("html")) is str
    # The page is in a frame, so that its styles stay in it.
    frame = report._repr_html_()
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1])
    assert page == program.report("html")
    assert frame.startswith('<iframe sandbox="" ') and frame.count("<") == 2


def test_names_from_programs_do_nothing_in_a_notebook_or_terminal():
    def f(x):
        with jax.named_scope(HOSTILE):
            return x * x

    program = ditto.compile(f, f32(4)).replace(name=HOSTILE, policy=HOSTILE)
    report = program.report()
    assert "\x1b" not in report and "\\x1b[31m\\n" in report and "bold]" in report
    assert report._repr_html_().count("<") == 2
    assert "<img" not in program.report("html")
    assert "\x1b" not in repr(program)


def test_names_are_printable():
    assert printable("a\tb\x00c\x1b[0m\u202e→é") == "a\\tb\\x00c\\x1b[0m\\u202e→é"
    assert quoted("x" * 100, 10) == repr("x" * 9 + "…")


@pytest.mark.parametrize("width", [20, 60, 118, 300])
@pytest.mark.parametrize("policy", ["ditto", "ditto-engine"])
def test_numbers_are_whole_however_long_names_and_narrow_terminals_are(width, policy):
    group, name = "an_encoder_with_a_long_name_" * 3 + "0", "attention_of_the_many_heads/" * 4

    def f(x, w):
        with jax.named_scope(f"{group}/{name}"):
            return jax.nn.softmax(x @ w)

    report = make_report(ditto.compile(f, f32(32, 32), f32(32, 32), policy=policy))
    text = report.text(width)
    assert "…" not in text
    (row,) = (line for line in text.splitlines() if " 100.0 " in line)
    (part,) = (part for part in report.parts if part.cost.bytes)
    numbers = [
        str(part.computing),
        f"{part.truncated:,}",
        f"{part.cost.bytes / 1e6:.3f}",
        "100.0",
        f"{part.cost.rounds:.0f}",
        *(f"{seconds:.3f}" for seconds in report.seconds(part.cost).values()),
    ]
    assert row.split()[-len(numbers) :] == numbers
    if width == 118:
        assert max(map(len, text.splitlines())) <= 118


def test_a_console_that_is_wide_enough_cuts_nothing(program):
    report = make_report(program)
    stream = io.StringIO()
    Console(width=report.least_width(20), file=stream).print(report)
    assert "wan s" in stream.getvalue() and "…" not in stream.getvalue()
