"""Measuring: benchmarks yield episodes, predictions are exported to files, numbers come from the files.

`benchmark` runs it all; `metrics` defines every number; a file per benchmark reads its public folder layout. None of
them imports the model: what is measured comes in as a function. `predict` and `calibrate` do.
"""
