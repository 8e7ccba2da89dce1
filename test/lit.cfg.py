"""Golden IR: `lit test` runs the RUN lines of every .mlir file with the interpreter that runs lit.

The compiler is that of this tree; with `--param compiler=installed`, it is the one that is installed.
"""

import os
import shlex
import sys
from pathlib import Path

import lit.formats
from jaxlib.mlir.dialects import chlo

root = Path(__file__).resolve().parent.parent
python = shlex.quote(sys.executable)

config.name = "ditto"  # noqa: F821
config.test_format = lit.formats.ShTest(execute_external=False)  # noqa: F821
config.suffixes = [".mlir"]  # noqa: F821
config.test_source_root = str(root / "test")  # noqa: F821
installed = lit_config.params.get("compiler") == "installed"  # noqa: F821
config.test_exec_root = str(root / "build" / ("lit-installed" if installed else "lit"))  # noqa: F821
config.substitutions += [  # noqa: F821
    (r"\bditto-opt\b", f"{python} -m ditto_compiler.opt"),
    (r"\bfilecheck\b", f"{python} -m filecheck"),
]
sources = [] if installed else [str(root / folder) for folder in ("compiler", "python", "tools")]
config.environment["PYTHONPATH"] = os.pathsep.join([*sources, os.environ.get("PYTHONPATH", "")])  # noqa: F821
config.environment["DITTO_CACHE"] = ""  # noqa: F821
# JAX's newer front end gives this op, which the older MLIR does not know.
if hasattr(chlo, "SquareOp"):
    config.available_features.add("chlo-square")  # noqa: F821
# Limits need psutil.
if lit_config.maxIndividualTestTimeIsSupported[0]:  # noqa: F821
    config.maxIndividualTestTime = 180  # noqa: F821
