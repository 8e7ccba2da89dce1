"""Builds the example plugin, installs its wheel in an environment of its own, and runs its tests there.

python examples/check.py                          # Ditto and all else as this interpreter has them
python examples/check.py --ditto dist/*.whl       # these wheels of Ditto; what they need, as it has it
python examples/check.py --ditto dist/*.whl --all # everything anew, from the package index
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent / "ditto_example_plugin"


def run(*command: str | Path, cwd: Path, **environment: str) -> None:
    """Runs a command, which must succeed."""
    print("+", *command, flush=True)
    # Nothing of this tree, and no plugin but those that are installed.
    left_out = ("PYTHONPATH", "DITTO_PLUGINS")
    inherited = {name: value for name, value in os.environ.items() if name not in left_out}
    subprocess.run(command, check=True, cwd=cwd, env={**inherited, **environment})


def check(ditto: list[Path], everything: bool, folder: Path) -> None:
    """Does all of it in a folder."""
    sources = folder / "sources"
    # Building leaves files beside the sources.
    shutil.copytree(EXAMPLE, sources)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "wheels", sources, cwd=folder)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    (wheel,) = (folder / "wheels").glob("*.whl")
    install = (*pip, "--python", python, "install", "--quiet")
    if everything:
        run(*install, *ditto, f"{wheel}[test]", cwd=folder)
    else:
        run(*install, "--no-deps", *ditto, wheel, cwd=folder)
        packages = sorted({sysconfig.get_path(kind) for kind in ("purelib", "platlib")})
        lines = [f"import site; site.addsitedir({path!r})" for path in packages]
        (site,) = environment.glob("lib/python3*/site-packages")
        (site / "zz_dependencies.pth").write_text("\n".join(lines) + "\n")
    tests = folder / "test"
    shutil.move(sources / "test", tests)
    shutil.rmtree(sources)  # so that the tests see the wheel or nothing
    run(python, "-m", "lit.main", "-sv", tests, cwd=folder)
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, cwd=folder, JAX_PLATFORMS="cpu")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ditto", type=Path, nargs="+", default=[], help="wheels of Ditto to install")
    parser.add_argument("--all", action="store_true", help="install what they depend on, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check([path.resolve() for path in options.ditto], options.all, Path(folder))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"failed: {' '.join(map(str, error.cmd))}")
