"""docs/reference/functions.md: where functions are right, and how right."""

from __future__ import annotations

from ditto_compiler.ops import OPS
from ditto_compiler.written.functions import ACCURACY

ENCODINGS = ((32, 10), (64, 18), (128, 40))
"""Those of the presets."""

_HEAD = """\
<!-- Written by `python -m ditto_tools.docs` from the domains in compiler/ditto_compiler/ops. -->

# Functions, their domains and their errors

A function on shares is a few products that approximate it, so it is right for some arguments only, and only
so far. Both follow from the ring and the fraction bits: the laws are in
`compiler/ditto_compiler/spu/domains.py`, and

    ditto bench domains

measures them on three parties, at more encodings than here. Exponentials, the logistic function and
remainders are written out by us (`ditto-expand-functions`); an exponential that is too small becomes 0. The
others are the engine's. Where calibration knows that arguments of a root, a logarithm or a division are
large, they are scaled by a power of two first, so the domain does not end there.

What happens outside: `ditto-check-domains` makes it an error where ranges say that arguments get there, and
remarks where nothing is known; `ditto.calibrate` warns; `ditto.simulate` computes what the engine gives, and
reports it.

A ring has one zero, so -0 counts as 0: the angle (`atan2`) of -0 and -1 is pi.

y is the result; of two operands the second is the divisor, or the exponent.

"""


def functions_page() -> str:
    """The text of docs/reference/functions.md."""
    lines = [
        "| function | ring, fraction bits | right for | error | elsewhere |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, op in OPS.items():
        if op.domain is None or op.name == "stablehlo.custom_call":
            continue
        for ring, frac in ENCODINGS:
            law = op.domain(ring, frac)
            if not law.is_empty:
                error, outside = law.error_text, law.outside or "what does not fit"
                lines.append(f"| `{name}` | {ring}, {frac} | {law} | {error} | {outside} |")
    lines += [
        "",
        "These are written out as others (`ditto-expand-ops`), so what is checked is whether the others",
        "are in their domains. In ring 64 with 18 fraction bits:",
        "",
        "| function | computed as | right for | error | elsewhere |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, of in ACCURACY.items():
        lines.append(f"| `{name}` | {of.formula} | {of.domain} | {of.error} | {of.outside} |")
    return _HEAD + "\n".join(lines) + "\n"
