"""The table of forms: every way that Ditto knows to compute a non-linear function.

docs/reference/forms.md is this table, with what each form costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ditto_compiler.extensions import Table
from ditto_compiler.forms import activations, argmax, embedding, moments, norm, octaves, softmax
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.exponential import EXPONENTIALS
from ditto_compiler.forms.sources import DITTO, MPCFORMER, OURS, PUMA, SPU

EXACT = "exact"
"""The form that leaves a function as it is: what the engine computes of it."""

ANY = "any x"
WIDE = "any x; ring 64"
TRAINED = "models trained for it"
ROWS = "rows up to 512"
SPREAD = "variance < 2^17"
OCTAVES = "2^-17 <= variance < 2^17"
IDS = "any ids"
KNOWN = "known ranges"
MOMENTS = "gradients from 2^-17 to 2^12"
ONESHOT = "oneshot"
"""The form that runs beside the engine, where the policy allows it."""


@dataclass(frozen=True)
class Form:
    """One way to compute a function.

    Attributes:
        name: what policies call it.
        formula: as text.
        source: who proposed it.
        valid: where it is right. The forms for ring 64 are right in ring 32 too, but lose more than their
            own error to rounding there.
        max_error: largest absolute error there in exact arithmetic; None where the form is another
            function, which a model must be trained for. Fixed point adds some units of the last place.
        build: writes it; what it takes depends on the function, see `forms.replace`. For a plugin's
            function: one `Tensor` for each variable of the recogniser's patterns, by name.
        exp: for softmax, the exp within, unless the policy names another.
        engine: for a form that runs beside the engine, the one that the engine runs instead of it.
    """

    name: str
    formula: str
    source: str
    valid: str
    max_error: float | None
    build: Callable[..., Any]
    exp: str | None = None
    engine: str | None = None


def _by_name(*forms: Form) -> dict[str, Form]:
    return {form.name: form for form in forms}


def _oneshot(
    formula: str, max_error: float, build: Callable[..., Any], engine: str, exp: str | None = None
) -> Form:
    return Form(ONESHOT, formula, OURS, KNOWN, max_error, build, exp, engine)


_OWN: dict[str, dict[str, Form]] = {
    "gelu": _by_name(
        # The paper states 0.01403; with its published coefficients the largest error is that at x = 3.
        Form("puma", "0, cubic, sextic, x; cuts -4, -1.95, 3", PUMA, WIDE, 0.01991, activations.gelu_puma),
        Form("quartic", "relu(x) + quartic(|x| < 3.25)", OURS, ANY, 0.00213, activations.gelu_quartic),
        Form("sextic", "relu(x) + sextic(|x| < 3.5)", OURS, WIDE, 0.00082, activations.gelu_sextic),
        Form("quad", "x²/8 + x/4 + 1/2", MPCFORMER, TRAINED, None, activations.gelu_quad),
        _oneshot("x/2 + one-shot even part", 0.001, activations.gelu_oneshot, "quartic"),
    ),
    "silu": _by_name(
        Form("quartic", "relu(x) + quartic(|x| < 6.375)", OURS, ANY, 0.0109, activations.silu_quartic),
        Form("sextic", "relu(x) + sextic(|x| < 8)", OURS, WIDE, 0.00295, activations.silu_sextic),
        _oneshot("x/2 + one-shot even part", 0.001, activations.silu_oneshot, "quartic"),
    ),
    "tanh": _by_name(
        Form("cubic", "sign(x) cubic(|x| < 2.625)", OURS, ANY, 0.0106, activations.tanh_cubic),
        Form("sextic", "sign(x) sextic(|x| < 3.625)", OURS, WIDE, 0.00143, activations.tanh_sextic),
        _oneshot("one-shot, clipped", 0.001, activations.tanh_oneshot, "cubic"),
    ),
    "logistic": _by_name(
        Form("sextic", "1/2 + sign(x) sextic(|x| < 7.25)", OURS, WIDE, 0.00072, activations.logistic_sextic),
        _oneshot("one-shot, clipped", 0.001, activations.logistic_oneshot, "sextic"),
    ),
    "softmax": _by_name(
        Form("puma", "exp(x - max) (1/sum)", PUMA, ROWS, 0.12, softmax.plain, "taylor5"),
        Form("ditto", "the same, max and clip in ring 32", DITTO, ROWS, 0.12, softmax.ditto, "taylor5"),
        Form("narrow", "the same, only 1/sum in ring 64", OURS, ROWS, 0.0035, softmax.narrow, "quadratic16"),
        Form("2quad", "(x + 5)² (1/(sum + 2⁻¹⁰)), no max", MPCFORMER, TRAINED, None, softmax.two_quad),
        Form(
            "2quad_oneshot",
            "the same, 1/sum one-shot",
            MPCFORMER,
            TRAINED,
            None,
            softmax.two_quad_oneshot,
            engine="2quad",
        ),
        Form("2relu", "relu(x) (1/sum), no max", MPCFORMER, TRAINED, None, softmax.two_relu),
        _oneshot("the same, exp and 1/sum one-shot", 0.006, softmax.oneshot, "narrow", "quadratic16"),
    ),
    "log_softmax": _by_name(
        Form("puma", "x - max - log(sum(exp(x - max)))", PUMA, ROWS, 0.22, softmax.log_plain, "taylor5"),
        Form("narrow", "the same, only log in ring 64", OURS, ROWS, 0.007, softmax.log_narrow, "quadratic16"),
        _oneshot("the same, exp and log one-shot", 0.0065, softmax.log_oneshot, "narrow", "quadratic16"),
    ),
    "layer_norm": _by_name(
        Form("rsqrt", "(x - mean) rsqrt(var + eps) scale", PUMA, f"{SPREAD}; ring 64", 0.0, norm.layer_norm),
        Form("wide", "the same, statistics in ring 64", DITTO, SPREAD, 0.0, norm.wide(norm.layer_norm)),
        Form(
            "octaves",
            "the same, rsqrt by octaves",
            OURS,
            OCTAVES,
            0.0,
            norm.wide(norm.layer_norm, norm.octave_rsqrt),
        ),
        _oneshot("the same, rsqrt one-shot", 0.0004, norm.oneshot_layer_norm, "octaves"),
    ),
    "rms_norm": _by_name(
        Form("rsqrt", "x rsqrt(mean(x²) + eps) scale", PUMA, f"{SPREAD}; ring 64", 0.0, norm.rms_norm),
        Form("wide", "the same, statistics in ring 64", DITTO, SPREAD, 0.0, norm.wide(norm.rms_norm)),
        Form(
            "octaves",
            "the same, rsqrt by octaves",
            OURS,
            OCTAVES,
            0.0,
            norm.wide(norm.rms_norm, norm.octave_rsqrt),
        ),
        _oneshot("the same, rsqrt one-shot", 0.0004, norm.oneshot_rms_norm, "octaves"),
    ),
    "argmax": _by_name(
        Form("tournament", "of pairs (value, index)", OURS, ANY, 0.0, argmax.argmax),
    ),
    "argmin": _by_name(
        Form("tournament", "of pairs (value, index)", OURS, ANY, 0.0, argmax.argmin),
    ),
    "embedding": _by_name(
        Form("one-hot", "(ids == iota) @ table", PUMA, IDS, 0.0, embedding.one_hot),
        Form("digits", "(high == iota)(low == iota) @ table", OURS, IDS, 0.0, embedding.digits),
    ),
    "division": _by_name(
        Form("reciprocal", "x (1/y), 1/y once per row", PUMA, "y ≠ 0", 0.0, Tensor.reciprocal),
        _oneshot("the same, 1/y one-shot", 0.001, octaves.oneshot_reciprocal, "reciprocal"),
    ),
    "adaptive_step": _by_name(
        Form("wide", "x / (sqrt(v + 2⁻⁴⁰) + eps), ring 128", OURS, MOMENTS, 0.0, moments.adaptive_step),
    ),
}
"""Ditto's own, by function, then by name."""


class Forms(Table[Mapping[str, Form]]):
    """By function, then by name; plugins add functions, and forms of any function."""

    def __getitem__(self, function: str) -> Mapping[str, Form]:
        own, added = self.own.get(function), self.added.get(function)
        if own is None and added is None:
            raise KeyError(function)
        return {**(own or {}), **(added or {})}

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self.own, *self.added)))

    def __len__(self) -> int:
        return len(set(self.own) | set(self.added))


FORMS = Forms("form", _OWN)
"""Every way to compute each function."""

ENGINE_FORMS: dict[str, dict[str, Form]] = {
    function: {name: form for name, form in forms.items() if form.engine is None}
    for function, forms in _OWN.items()
}
"""Those of Ditto's own that the engine runs as they are."""

COLLECTED: dict[str, Form] = {
    "logistic": Form(EXACT, "1/(1 + exp(-x))", SPU, ANY, 0.0, Tensor.logistic),
    "silu": Form(EXACT, "x/(1 + exp(-x))", SPU, ANY, 0.0, lambda x: x * x.logistic()),
}
"""What stands for a function that the program spells out by an exponential."""


class FormNames(Mapping[str, tuple[str, ...]]):
    """What a policy may choose for each function."""

    def __getitem__(self, function: str) -> tuple[str, ...]:
        if function == "exp":
            return tuple(EXPONENTIALS)
        names = tuple(FORMS[function])
        # The engine has no lookup by secret ids.
        return names if function == "embedding" else (EXACT, *names)

    def __iter__(self) -> Iterator[str]:
        yield from FORMS
        yield "exp"

    def __len__(self) -> int:
        return len(FORMS) + 1


FORM_NAMES = FormNames()

DEFAULTS: dict[str, str] = {**dict.fromkeys(_OWN, EXACT), "embedding": "digits", "exp": ""}
"""What is used where no policy chooses; for exp, what softmax's form asks for. For a plugin's function,
`EXACT`: what is installed changes nothing that does not name it."""
