"""Where functions are right, measured: the laws of `ditto_compiler.spu.domains` against the engine.

In each domain, with its ends, three parties compute the function, and their error is compared with what is
stated; then arguments go outwards from the domain's ends until the result is off by more than twice that.
What ditto-expand-functions writes out is measured the same way, as compiled programs that a cluster runs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import ditto
from ditto.bench.raw_engine import RawEngine, ring_elements
from ditto.simulator import engine_functions
from ditto.simulator.ring import Floats, Raw, read
from ditto_compiler.dtypes import DTYPES
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.ops import OPS
from ditto_compiler.policy import Policy
from ditto_compiler.spu.domains import LAWS, Domain, contains, domain, error_at

ENCODINGS = tuple(
    (ring, frac)
    for ring, fractions in {32: (8, 10, 12), 64: (14, 16, 17, 18, 20, 24, 28), 128: (26, 30, 40)}.items()
    for frac in fractions
)
"""What is measured unless options say otherwise."""

TRUE: Mapping[str, Callable[..., Any]] = {
    "atan2": np.arctan2,
    "cosine": np.cos,
    "divide": np.divide,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "exponential": np.exp,
    "exponential_minus_one": np.expm1,
    "log": np.log,
    "log_plus_one": np.log1p,
    "logistic": lambda x: 0.5 + 0.5 * np.tanh(x / 2),
    "power": lambda x, y: np.abs(x) ** y * np.where((x < 0) & (np.floor(y) % 2 == 1), -1.0, 1.0),
    "reciprocal": lambda x: 1 / x,
    "remainder": np.fmod,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sine": np.sin,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
}
"""The functions; a power is that of the magnitude, with a sign for odd exponents, as the engine means it."""

BINARY = ("atan2", "divide", "power", "remainder")

OURS: Mapping[str, Callable[..., Any]] = {
    "exponential": jnp.exp,
    "exponential_minus_one": jnp.expm1,
    "logistic": jax.nn.sigmoid,
}
"""What is compiled to something else than the engine's function of that name."""

LOGISTIC = """%c = pphlo.constant dense<1.0> : tensor<{n}xf32>
    %0 = "pphlo.negate"(%a0) : ({t}) -> {t}
    %1 = "pphlo.exponential"(%0) : ({t}) -> {t}
    %2 = "pphlo.add"(%1, %c) : ({t}, tensor<{n}xf32>) -> {t}
    %r = "pphlo.reciprocal"(%2) : ({t}) -> {t}"""
"""As SPU's compiler writes the logistic function."""

FAR = 2.0**60
"""Larger arguments are not tried."""


@dataclass(frozen=True)
class Measured:
    """A law, and what the engine does.

    Attributes:
        name: of the function.
        encoding: of its arguments and results.
        law: the domain.
        share: the largest error in the domain, as a share of what is stated.
        end: the last argument that is right, going up from the domain's upper end; inf if all are, or NaN.
    """

    name: str
    encoding: Fxp
    law: Domain
    share: float
    end: float

    @property
    def holds(self) -> bool:
        """Whether the engine is within the law."""
        return self.share <= 1


def engine_result(engine: RawEngine, name: str, *operands: Raw) -> Raw:
    """What the engine gives, as ring elements."""
    if name == "logistic":
        n = len(operands[0])
        return engine.run(LOGISTIC.format(n=n, t=f"tensor<{n}x!pphlo.secret<f32>>"), *operands)
    return engine.op("@mhlo.erf" if name == "erf" else name, *operands)


def arguments(
    name: str, law: Domain, encoding: Fxp, count: int, random: np.random.Generator
) -> list[NDArray[Any]]:
    """Ring elements in a domain: of every magnitude, uniform near 0, and the ends."""
    ulp = 2.0**-encoding.frac
    low, high = max(law.low, -FAR), min(law.high, FAR)
    least = max(law.smallest, ulp) if law.divisor == math.inf else ulp
    x = _spread(low, high, least, count, random)
    columns = [x]
    if name == "power":
        reach = np.log2(law.result) / np.maximum(np.abs(np.log2(np.abs(x))), 0.05) * 0.999
        columns.append(random.uniform(-1, 1, len(x)) * np.minimum(reach, 20))
    elif name == "atan2":
        columns.append(random.permutation(x))
    elif name in BINARY:
        top = min(law.divisor, FAR)
        size = np.exp(random.uniform(np.log(max(law.smallest, ulp)), np.log(top), len(x)))
        columns.append(size * random.choice([-1, 1], len(x)))
    elif law.low <= 0 <= law.high and law.smallest == 0:
        columns = [np.append(x, 0.0)]
    raws = [ring_elements(column, encoding.ring, encoding.frac) for column in columns]
    inside = contains(name, law, *(read(raw, encoding.frac) for raw in raws))
    return [raw[inside] for raw in raws]


def _spread(low: float, high: float, least: float, count: int, random: np.random.Generator) -> Floats:
    parts = [random.uniform(max(low, -8.0), max(min(high, 8.0), max(low, -8.0)), count)]
    for sign, limit in ((1.0, high), (-1.0, -low)):
        if limit > least:
            parts.append(sign * np.exp(random.uniform(np.log(least), np.log(limit), count)))
            parts.append(sign * np.array([least, limit]))
    values = np.concatenate(parts)
    return np.asarray(values[(values >= low) & (values <= high) & (np.abs(values) >= least)])


def sure(name: str, frac: int, *numbers: Floats) -> NDArray[np.bool_]:
    """Where a remainder is not stated to be possibly off by the divisor."""
    if name != "remainder":
        return np.ones(len(numbers[0]), np.bool_)
    return np.asarray(engine_functions.ULPS[name](frac, numbers[0], *numbers) <= 1.5)


def measure(engine: RawEngine, name: str, count: int = 300) -> Measured:
    """The engine's function against its law."""
    encoding, random = Fxp(engine.ring, engine.frac), np.random.default_rng(0)
    law = domain(name, *_pair(encoding))
    if law.is_empty:
        return Measured(name, encoding, law, 0.0, math.nan)
    operands = arguments(name, law, encoding, count, random)

    def off(*raws: Raw) -> tuple[Floats, Floats]:
        """The error, and what is stated."""
        numbers = [read(raw, encoding.frac) for raw in raws]
        with np.errstate(all="ignore"):
            true = np.asarray(TRUE[name](*numbers), np.float64)
            error = np.abs(read(engine_result(engine, name, *raws), encoding.frac) - true)
            error = np.where(sure(name, encoding.frac, *numbers), error, 0.0)
            return error, np.asarray(error_at(name, *_pair(encoding), true, *numbers))

    error, stated = off(*operands)
    share = float((error / stated).max())
    if name in BINARY or not 0 < law.high < 0.999 * 2.0 ** (encoding.ring - 2 - encoding.frac):
        return Measured(name, encoding, law, share, math.inf)
    beyond = law.high * 2.0 ** (np.arange(-8, 129) / 16)
    beyond = beyond[beyond < 2.0 ** (encoding.ring - 2 - encoding.frac)]
    tried = ring_elements(np.repeat(beyond, 4), encoding.ring, encoding.frac)
    error, stated = off(tried)
    wrong = (~(error <= 2 * stated)).reshape(-1, 4).any(axis=1)
    last = beyond[max(int(wrong.argmax()) - 1, 0)] if wrong.any() else math.inf
    return Measured(name, encoding, law, share, float(last))


def uniform(encoding: Fxp) -> Policy:
    """Everything in one encoding."""
    encodings: dict[str, Encoding] = {
        dtype: encoding if "f" in dtype else Int(encoding.ring) for dtype in DTYPES
    }
    return Policy(str(encoding), encodings)


def measure_ours(cluster: ditto.LocalCluster, name: str, encoding: Fxp, count: int = 300) -> Measured:
    """A function that is written out, as compiled, against its op's domain."""
    law_of = OPS[f"stablehlo.{name}"].domain
    assert law_of is not None
    law, random = law_of(encoding.ring, encoding.frac), np.random.default_rng(0)
    if law.is_empty:
        return Measured(name, encoding, law, 0.0, math.nan)
    room = 2.0 ** (encoding.ring - 2 - encoding.frac)
    high = min(law.high, room / 4)
    x = np.concatenate(
        [_spread(-room / 4, high, 2.0**-encoding.frac, count, random), random.uniform(-40, high, count)]
    )
    with jax.experimental.enable_x64():
        x = np.ldexp(np.trunc(np.ldexp(x[x < high], encoding.frac)), -encoding.frac)
        program = ditto.compile(lambda x: OURS[name](x), x, policy=uniform(encoding))
        found = cluster.run(program, x)
    true = TRUE[name](x)
    stated = law.abs_error + law.rel_error * np.abs(true)
    return Measured(name, encoding, law, float((np.abs(found - true) / stated).max()), math.nan)


def _pair(encoding: Fxp) -> tuple[int, int]:
    return encoding.ring, encoding.frac


def main(encodings: Sequence[tuple[int, int]] = ENCODINGS) -> None:
    """Prints laws and measurements; exits with 1 if a law does not hold."""
    table = Table(title="domains of functions: laws, and what three parties do")
    for column in ("function", "encoding", "right for", "error, stated", "share used", "right up to"):
        table.add_column(column)
    broken = []
    with ditto.LocalCluster() as cluster:
        for ring, frac in encodings:
            engine = RawEngine(ring, frac)
            rows = [measure(engine, name) for name in LAWS]
            rows += [measure_ours(cluster, name, Fxp(ring, frac)) for name in OURS]
            for index, row in enumerate(rows):
                if row.law.is_empty:
                    continue
                title = row.name if index < len(LAWS) else f"{row.name}, compiled"
                if not row.holds:
                    broken.append(f"{title} in {row.encoding} errs {row.share:.3g} times as much as stated")
                table.add_row(
                    title,
                    f"{ring}, {frac}",
                    str(row.law),
                    row.law.error_text,
                    f"{row.share:.2f}",
                    "" if not math.isfinite(row.end) else f"{row.end:.4g}",
                )
    Console().print(table)
    for line in broken:
        print(line)
    if broken:
        sys.exit(1)
