"""Files that replay what went wrong: a program, and the passes that were run on it.

They are programs with MLIR's own metadata (`external_resources: { mlir_reproducer: ... }`) behind them, so
the lines of the program are those of the source, and other tools of MLIR's read them, too. A reproducer
names no plugin to be loaded: who replays it says which are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ditto_compiler.errors import DittoError
from ditto_compiler.extensions import active
from ditto_compiler.files import write_whole
from ditto_compiler.options import PipelineError

FLAG = "--mlir-pass-pipeline-crash-reproducer"

_METADATA = re.compile(
    r"\n*\{-#\s*external_resources:\s*\{\s*mlir_reproducer:\s*\{\s*"
    r'pipeline:\s*"((?:[^"\\]|\\.)*)".*?\}\s*\}\s*#-\}\s*\Z',
    re.DOTALL,
)


def reproducer_text(source: str, pipeline: str) -> str:
    """A program and a pipeline as one file; metadata that the program has already is replaced."""
    escaped = pipeline.replace("\\", "\\\\").replace('"', '\\"')
    plugins = ", ".join(active().loaded)
    return (
        f"{_METADATA.sub('', source).rstrip()}\n\n"
        + (f"// The passes were run with these plugins: {plugins}\n\n" if plugins else "")
        + "{-#\n  external_resources: {\n    mlir_reproducer: {\n"
        + f'      pipeline: "{escaped}",\n      disable_threading: true,\n      verify_each: true\n'
        + "    }\n  }\n#-}\n"
    )


def read_reproducer(text: str, file: str) -> tuple[str, str]:
    """The program and the pipeline of a reproducer.

    Raises:
        PipelineError: it is none.
    """
    found = _METADATA.search(text)
    if found is None:
        raise PipelineError(
            f"'{file}' is no reproducer: it does not end with {{-# external_resources: {{ mlir_reproducer: "
            f"{{ pipeline: ... }} }} #-}}; {FLAG}=FILE writes them"
        )
    return text[: found.start()] + "\n", re.sub(r"\\(.)", r"\1", found[1])


class Reproducer:
    """The file that is there after a run that failed, and not after one that did not.

    It is written before the passes run, for these may end the process; `keep` then gives it its name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = path.with_name(f"{path.name}.pending")

    @staticmethod
    def asked_for(arguments: Sequence[str]) -> Reproducer | None:
        """The one that a command line asks for."""
        for argument, following in zip(arguments, (*arguments[1:], ""), strict=True):
            if argument.startswith(f"{FLAG}="):
                return Reproducer(Path(argument.partition("=")[2]))
            if argument == FLAG and following:
                return Reproducer(Path(following))
        return None

    def prepare(self, source: str, pipeline: str) -> None:
        """Writes it aside.

        Raises:
            DittoError: it cannot be written.
        """
        try:
            write_whole(self._pending, reproducer_text(source, pipeline).encode())
        except OSError as error:
            raise DittoError(f"cannot write '{self._path}': {error.strerror}") from None

    def keep(self) -> str:
        """After a failure; gives what to tell the user, or nothing if there was nothing to write."""
        if not self._pending.exists():
            return ""
        self._pending.replace(self._path)
        return f"reproducer generated at `{self._path}`; ditto-opt --run-reproducer {self._path} replays it"

    def discard(self) -> None:
        """After a run that did not fail."""
        self._pending.unlink(missing_ok=True)
