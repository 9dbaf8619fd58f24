"""`persam weights list|fetch|verify|path`. An edge, without logic of its own."""

import argparse


def show(options: argparse.Namespace) -> int:
    """`weights list`."""
    from persam.sam import weights

    table = [("NAME", "STATE", "SIZE", "LICENCE", "ABOUT")]
    for row in weights.rows():
        source = row.source
        size_bytes = row.path.stat().st_size if row.state in ("bundled", "here") else source.size_bytes
        size = f"{size_bytes / 1e6:.0f} MB" if size_bytes else "-"
        table.append((source.name, row.state, size, source.licence, source.about))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    return 0


def fetch(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(weights.fetch(options.name))
    return 0


def verify(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(f"{weights.verify(options.name)}: the checksum is right")
    return 0


def path(options: argparse.Namespace) -> int:
    from persam.sam import weights

    print(weights.path(options.name))
    return 0
