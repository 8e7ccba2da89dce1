"""The passes, one to a file; a pass named `a-b` is the class `AB` in `a_b.py`."""
