"""The most memory that a process has held. It imports nothing, so that it adds nothing to what it measures."""

import sys


def peak_mb() -> float:
    """The most memory that this process has held so far, in MiB."""
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
