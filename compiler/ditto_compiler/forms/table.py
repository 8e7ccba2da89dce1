"""The table of forms: every way that Ditto knows to compute a non-linear function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ditto_compiler.forms import activations, argmax, embedding, norm, softmax
from ditto_compiler.forms.builder import Tensor
from ditto_compiler.forms.exponential import EXPONENTIALS

EXACT = "exact"
"""The form of every function that leaves it as it is: what the engine computes."""

PUMA = "PUMA, arXiv 2307.12533"
MPCFORMER = "MPCFormer, arXiv 2211.01452"
DITTO = "Ditto, arXiv 2405.05525"
OURS = "this project"


@dataclass(frozen=True)
class Cost:
    """What a form sends, all three parties together.

    Attributes:
        element: bytes per element, by ring.
        row: bytes per row besides, by ring; negative where one element of a row is cheaper.
        messages: in all, whatever the number of elements, by ring; None when it grows with the row length.
    """

    element: Mapping[int, float]
    row: Mapping[int, float] = field(default_factory=dict)
    messages: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Form:
    """One way to compute a function.

    Attributes:
        function: what it computes.
        name: what policies call it.
        formula: as text.
        source: who proposed it.
        valid: the range of inputs for which the error holds.
        max_error: largest absolute error in exact arithmetic over the range; None where it is another function,
            which a model must be trained for.
        cost: what it sends.
        build: writes it; takes a `Tensor`, or what the function's kind needs.
        exp: the form of exp within, unless the policy names another.
    """

    function: str
    name: str
    formula: str
    source: str
    valid: tuple[float, float]
    max_error: float | None
    cost: Cost
    build: Callable[..., Any]
    exp: str | None = None


ALL = (-math.inf, math.inf)

UNMEASURED = Cost({})

_FORMS: tuple[Form, ...] = (
    Form("gelu", "puma", "0 | cubic | sextic | x, cuts at -4, -1.95, 3", PUMA, ALL, 0.01404, UNMEASURED, activations.gelu_puma),
    Form("gelu", "quartic", "relu(x) + quartic(|x|) for |x| < 3.25", OURS, ALL, 0.0022, UNMEASURED, activations.gelu_quartic),
    Form("gelu", "sextic", "relu(x) + sextic(|x|) for |x| < 3.5", OURS, ALL, 0.00082, UNMEASURED, activations.gelu_sextic),
    Form("gelu", "quad", "x^2/8 + x/4 + 1/2", MPCFORMER, ALL, None, UNMEASURED, activations.gelu_quad),
    Form("silu", "quartic", "relu(x) + quartic(|x|) for |x| < 6.375", OURS, ALL, 0.0109, UNMEASURED, activations.silu_quartic),
    Form("silu", "sextic", "relu(x) + sextic(|x|) for |x| < 8", OURS, ALL, 0.003, UNMEASURED, activations.silu_sextic),
    Form("tanh", "cubic", "sign(x) cubic(|x|) for |x| < 2.625", OURS, ALL, 0.0105, UNMEASURED, activations.tanh_cubic),
    Form("tanh", "sextic", "sign(x) sextic(|x|) for |x| < 3.625", OURS, ALL, 0.00143, UNMEASURED, activations.tanh_sextic),
    Form("logistic", "sextic", "1/2 + sign(x) sextic(|x|) for |x| < 7.25", OURS, ALL, 0.00072, UNMEASURED, activations.logistic_sextic),
    Form("softmax", "puma", "exp(x - max) * (1 / sum)", PUMA, ALL, 0.01, UNMEASURED, softmax.plain, "taylor5"),
    Form("softmax", "ditto", "exp(x - max) * (1 / sum), max in ring 32", DITTO, ALL, 0.01, UNMEASURED, softmax.ditto, "taylor5"),
    Form("softmax", "narrow", "exp(x - max) * (1 / sum), 1 / sum in ring 64", OURS, ALL, 0.01, UNMEASURED, softmax.narrow, "quadratic16"),
    Form("softmax", "2quad", "(x + 5)^2 / sum((x + 5)^2)", MPCFORMER, ALL, None, UNMEASURED, softmax.two_quad, "engine"),
    Form("softmax", "2relu", "relu(x) / sum(relu(x))", MPCFORMER, ALL, None, UNMEASURED, softmax.two_relu, "engine"),
    Form("log_softmax", "puma", "x - max - log(sum(exp(x - max)))", PUMA, ALL, 0.01, UNMEASURED, softmax.log_plain, "taylor5"),
    Form("log_softmax", "narrow", "x - max - log(sum(exp(x - max)))", OURS, ALL, 0.01, UNMEASURED, softmax.log_narrow, "quadratic16"),
    Form("layer_norm", "rsqrt", "c rsqrt(mean(c^2) + eps) scale", PUMA, ALL, 0.0, UNMEASURED, norm.layer_norm),
    Form("rms_norm", "rsqrt", "x rsqrt(mean(x^2) + eps) scale", PUMA, ALL, 0.0, UNMEASURED, norm.rms_norm),
    Form("argmax", "tournament", "reduce((v, i), (w, j) -> v >= w ? (v, i) : (w, j))", OURS, ALL, 0.0, UNMEASURED, argmax.argmax),
    Form("argmin", "tournament", "reduce((v, i), (w, j) -> v <= w ? (v, i) : (w, j))", OURS, ALL, 0.0, UNMEASURED, argmax.argmin),
    Form("embedding", "one-hot", "(ids == iota) @ table", PUMA, ALL, 0.0, UNMEASURED, embedding.one_hot),
    Form("embedding", "digits", "(high == iota) x (low == iota) @ table", OURS, ALL, 0.0, UNMEASURED, embedding.digits),
    Form("division", "reciprocal", "x * (1 / y), 1 / y once per row", PUMA, ALL, 0.0, UNMEASURED, Tensor.reciprocal),
)

FORMS: dict[str, dict[str, Form]] = {}
for _form in _FORMS:
    FORMS.setdefault(_form.function, {})[_form.name] = _form
"""By function, then by name."""

FORM_NAMES: dict[str, tuple[str, ...]] = {
    **{function: (EXACT, *forms) for function, forms in FORMS.items()},
    # The engine has no lookup by secret ids.
    "embedding": tuple(FORMS["embedding"]),
    "exp": tuple(EXPONENTIALS),
}
"""What a policy may choose for each function."""

DEFAULTS: dict[str, str] = {**dict.fromkeys(FORM_NAMES, EXACT), "embedding": "digits", "exp": ""}
"""What is used where no policy chooses; for exp, what softmax's form asks for."""
