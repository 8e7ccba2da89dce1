"""Runs `faults`, as `python test/support/run_faults.py`; see there."""

import importlib
import sys
from pathlib import Path

# Python has a package `test` of its own.
import test

if __name__ == "__main__":
    test.__path__ = [str(Path(__file__).parents[1])]
    sys.exit(importlib.import_module("test.support.faults").main())
