"""`python -m tests.fuzz COUNT`: runs the cases and lists the faults; exits with 1 where there are some."""

import argparse
import faulthandler
import os
import sys
import time
from collections import Counter
from tempfile import TemporaryDirectory

import torch

from tests.fuzz.kinds import KINDS
from tests.fuzz.run import cases, run_one


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kind", action="append", choices=list(KINDS), help="cases of this kind alone; may be repeated"
    )
    parser.add_argument("--only", metavar="KIND:SEED:NUMBER", help="one case again")
    options = parser.parse_args()
    torch.set_num_threads(1)
    faulthandler.enable()  # a crash in C names its place
    start, faults, done = time.monotonic(), 0, Counter[str]()
    with TemporaryDirectory() as cache:
        os.environ["PERSAM_CACHE"] = cache
        _calibrated()
        if options.only:
            kind, seed, number = options.only.split(":")
            todo = [(kind, int(seed), int(number))]
        else:
            todo = [(kind, options.seed, number) for kind, number in cases(options.count, options.kind)]
        for kind, seed, number in todo:
            done[kind] += 1
            fault = run_one(kind, seed, number)
            if fault is not None:
                faults += 1
                print(f"--- {fault.case}\n{fault.what}", flush=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in done.items())
    print(f"{len(todo)} cases ({counts}) in {time.monotonic() - start:.0f} s: {faults} faults")
    return 1 if faults else 0


def _calibrated() -> None:
    from persam.method.calibration import own_file
    from tests.colour import CALIBRATION

    CALIBRATION.save(own_file(CALIBRATION.fingerprint))


if __name__ == "__main__":
    sys.exit(main())
