"""Sphinx builds the site from the pages of this folder: `make site`.

Every warning is an error there: links and anchors that lead nowhere, pages outside of the folders that
index.md names, types in signatures that the API reference does not have, code that cannot be highlighted.
"""

import re
from collections.abc import MutableSequence
from typing import Any

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

project = "Ditto"
author = "the Ditto authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "furo"  # needs no fonts or scripts from elsewhere
html_title = "Ditto"
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4  # links reach headings of this depth
smartquotes = False  # "auto" in a docstring is what one types
default_role = "code"  # docstrings mark code with single backticks, as Markdown does
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False

nitpicky = True
# Types that others document, internals of plans, and what is left of a signature that Python cannot parse.
nitpick_ignore_regex = [
    (r"py:.*", r"Path|(collections|jax|jaxlib|numpy|pathlib|ditto_compiler\.planning)\..*|tuple\[.*"),
]
suppress_warnings = ["ref.python"]  # `bytes` is a type, and also what several classes count


def setup(app: Sphinx) -> None:
    """Registers what Sphinx lacks."""
    app.add_lexer("mlir", TextLexer)  # Pygments cannot read it
    app.connect("autodoc-process-docstring", from_markdown, priority=400)  # before napoleon
    app.connect("missing-reference", find_by_last_name)


def from_markdown(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: MutableSequence[str]
) -> None:
    """Docstrings are Markdown: code may have letters right behind it, and |x| is a magnitude."""
    lines[:] = [re.sub(r"(`[^`]+`)(\w?)", _code, line).replace("|", r"\|") for line in lines]


def _code(match: re.Match[str]) -> str:
    code, letter = match.groups()
    return f"{code}\\ {letter}" if letter else code


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, reference: pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """Finds what is named without its module, or with that of a base class, if one object has that name."""
    if reference.get("refdomain") != "py":
        return None
    last = reference["reftarget"].rpartition(".")[2]
    domain = env.domains.python_domain
    found = [
        name
        for name, about in domain.objects.items()
        if name.rpartition(".")[2] == last and not about.aliased
    ]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, reference["refdoc"], app.builder, reference["reftype"], found[0], reference, text
    )
