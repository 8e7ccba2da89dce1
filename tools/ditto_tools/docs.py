"""Writes the generated pages of docs/reference/: `python -m ditto_tools.docs`.

passes.md comes from the docstrings of passes and pipelines, forms.md from the table of forms,
functions.md from the domains of ops, paper.md from the numbers in paper/.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from pathlib import Path

import click

from ditto_compiler.options import option_docs
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import MlirPass, pass_name
from ditto_compiler.pipelines import PIPELINES
from ditto_compiler.plugins import using
from ditto_compiler.registry import PASSES
from ditto_tools.forms_page import forms_page
from ditto_tools.functions_page import functions_page
from ditto_tools.paper_page import paper_page

HEADER = """\
<!-- Written by `python -m ditto_tools.docs` from the docstrings; change those. -->

# Passes

Every pass is a flag of `ditto-opt` and a name in pipelines:

    ditto-opt model.mlir --inline-calls --ditto-annotate='policy=uniform64'
    ditto-opt model.mlir --pass-pipeline='builtin.module(inline-calls,ditto-annotate{policy=uniform64},cse)'

MLIR's own passes (`canonicalize`, `cse`, ...) mix with them. Rules such as c1 are those of
[attributes.md](attributes.md). A pass gives all its errors at once, each with the op, the user's source
line, and what to do. Passes of other packages are flags and names, too:
see [plugins.md](../howto/plugins.md).

`ditto-opt` follows `mlir-opt` in its other flags as well (`--help` lists all):

- `--mlir-print-ir-before`, `-after`, `-after-change`, `-after-failure`; `--mlir-timing` with
  `--mlir-timing-display=tree` or `list`.
- `--mlir-pass-pipeline-crash-reproducer=FILE` writes, if anything fails or ends the process, a file with the
  program and the passes, which `ditto-opt --run-reproducer FILE` replays.
- `--split-input-file` and `--verify-diagnostics`, for tests.
- `--remarks=WHICH` prints what passes decided, and why: of a category (`function`, `form`, `exact`, `fold`,
  `ring`, `cast`, `beside`, `range`, `plan`, `check`), or what a regular expression finds; `--remarks` prints
  all. In Python, `program.remarks` has them as records, and `ditto_compiler.remarks.grouped` says of layers
  that are alike what it says of one.

`ditto-update-checks FILE...` writes the CHECK lines of golden files from what their RUN lines print, with
SSA names as FileCheck variables. It leaves RUN lines and comments as they are, and files whose checks were
written by hand alone, unless it is given `--force`.
"""


def passes_page() -> str:
    """The text of docs/reference/passes.md."""
    sections = [HEADER, "## Pipelines\n"]
    for name, pipeline in PIPELINES.items():
        sections.append(f"### --{name}[=POLICY]\n\n{inspect.cleandoc(pipeline.__doc__ or '')}\n")
        passes = pipeline()
        sections.append("".join(f"1. {_link(pass_)}\n" for pass_ in passes))
    sections.append("## Reference\n")
    sections += [_pass_section(cls) for cls in PASSES.values()]
    return "\n".join(sections)


def _link(pass_: Pass) -> str:
    name = pass_name(pass_)
    return f"`{name}` (MLIR's)" if isinstance(pass_, MlirPass) else f"[`{name}`](#{name})"


def _pass_section(cls: type[Pass]) -> str:
    lines = [f"### {cls.name}\n", cls.documentation(), ""]
    options = option_docs(cls)
    if options:
        lines += ["Options:", ""]
        for name, default, documentation in options:
            text = " ".join(documentation.split())
            lines.append(f"- `{name}` (default: `{default}`): {text}" if default else f"- `{name}`: {text}")
        lines.append("")
    return "\n".join(lines)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a page is out of date.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default="docs/reference",
    show_default=True,
    help="Where the pages are.",
)
def main(check: bool, folder: Path) -> None:
    """Write passes.md, forms.md, functions.md and paper.md from their sources."""
    stale = False
    with using():  # Ditto as it comes, whatever plugins are installed here
        pages = {
            "passes.md": passes_page(),
            "forms.md": forms_page(),
            "functions.md": functions_page(),
            "paper.md": paper_page(folder / "paper"),
        }
    for name, text in pages.items():
        path = folder / name
        if not check:
            path.write_text(text)
            continue
        old = path.read_text() if path.exists() else ""
        if old != text:
            changes = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "sources", "", "", 1)
            click.echo("\n".join(changes), err=True)
            click.echo(f"{path} is out of date; run: python -m ditto_tools.docs", err=True)
            stale = True
    if stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
