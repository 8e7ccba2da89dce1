"""Golden IR: `lit test` with the interpreter that runs lit."""

import shlex
import sys
from pathlib import Path

import lit.formats

python = shlex.quote(sys.executable)
config.name = "ditto-example-plugin"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.test_source_root = str(Path(__file__).parent)  # noqa: F821
config.substitutions += [  # noqa: F821
    (r"\bditto-opt\b", f"{python} -m ditto_compiler.opt"),
    (r"\bfilecheck\b", f"{python} -m filecheck"),
]
