"""Damaged and odd input for everything that persam reads: its own errors, soon, within bounded memory.

`python -m tests.fuzz 10000` runs that many cases and lists what failed; a case is made of a kind, a seed and a number,
so that `python -m tests.fuzz --only masks:0:123` runs it again. The test suite runs some hundred.
"""
