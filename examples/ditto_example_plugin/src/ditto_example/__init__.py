"""One of everything that a package can add to Ditto."""

from importlib import resources

from ditto_compiler.plugins import Plugin, Registry
from ditto_example import leading_zeros, markdown, softplus
from ditto_example.factor_products import FactorProducts


def register(registry: Registry) -> None:
    """Called by Ditto when it is first asked for a name that is not its own."""
    registry.passes(FactorProducts)
    registry.op(leading_zeros.OP, exact=leading_zeros.exact, fast=leading_zeros.fast)
    registry.function(softplus.SOFTPLUS, softplus.QUARTIC)
    registry.policy("example", resources.files(__name__).joinpath("policy.toml").read_text())
    registry.report("markdown", markdown.write)


plugin = Plugin(api=1, register=register)
