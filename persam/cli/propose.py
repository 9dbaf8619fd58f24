"""`persam propose`. An edge, without logic of its own."""

import argparse
import json
import sys
from pathlib import Path

from persam.cli.option_groups import json_option, network_options
from persam.cli.shell import check_no_input, files_of, load_model, say

PROPOSE_HELP = """\
Show everything in a photo that may be a thing, with numbers to choose by.

The sheet shows the photo once for each mask, the best first. A number is a mask wherever one is asked for:

  persam propose rex.jpg -o sheet.png
  persam segment rex.jpg propose:3 album/ -o found"""
SHEET_SIDE = 1024  # of the copy of the photo that is drawn on


def propose_options(command: argparse.ArgumentParser) -> None:
    command.usage = "persam propose PHOTO -o SHEET"
    command.add_argument("photo", metavar="PHOTO", help="a photo")
    command.add_argument(
        "-o", "--output", required=True, type=Path, metavar="SHEET", help="a picture to write: .png or .jpg"
    )
    command.add_argument(
        "--crops", action="store_true", help="look into four overlapping crops too, for what is small (5 times as long)"
    )
    json_option(command)
    network_options(command)
    command.set_defaults(recipe=None)


def propose(options: argparse.Namespace) -> int:
    """The sheet, and on stdout a line for each mask."""
    from persam.io.images import read_image
    from persam.io.proposal_sheet import numbered_sheet
    from persam.io.write import picture_kind, write_picture

    picture_kind(options.output)
    check_no_input(options.output, files_of(options, [options.photo]))
    rgb = read_image(options.photo)  # before a model is fetched
    result = load_model(options).propose(rgb, crops=options.crops, max_side=SHEET_SIDE)
    write_picture(numbered_sheet(result), options.output)
    for number, one in enumerate(result, start=1):
        share = one.area_px / one.mask.size
        told = {"mask": f"propose:{number}", "score": round(one.score, 4), "share": round(share, 4)}
        if options.json or not sys.stdout.isatty():
            print(json.dumps(told))
        else:
            print(f"{told['mask']:<12}  score {one.score:.2f}  {share:6.1%} of the photo")
    say(f"look at {options.output}; take a number as a mask: persam segment {options.photo} propose:1 ALBUM -o OUT")
    return 0
