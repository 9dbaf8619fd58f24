"""What `persam track` takes."""

import argparse
from pathlib import Path

from persam.cli.option_groups import existing_options, json_option, mask_options, network_options


def track_options(track: argparse.ArgumentParser) -> None:
    track.usage = (
        "persam track CLIP MASK [MASK]... -o OUT\n"
        "       persam track CLIP --labels FILE -o OUT\n"
        "       persam track CLIP --concept FILE [--concept FILE]... -o OUT"
    )
    track.epilog = "example: persam track walk.mp4 rex.png -o tracked"
    track.add_argument("inputs", nargs="+", metavar="CLIP MASK", help=argparse.SUPPRESS)
    track.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder for the results")
    track.add_argument(
        "--labels",
        metavar="FILE",
        help="instead of masks, a map of labels, one number an object (0 background, 255 undecided), as a palette file "
        "(the same as MASK --each)",
    )
    mask_options(track, each="every object that MASK holds is followed as one of its own")
    track.add_argument(
        "--concept",
        dest="concepts",
        action="append",
        metavar="FILE",
        help="instead of masks, what `persam learn` wrote: no frame needs a mask; give it again for more objects",
    )
    track.add_argument(
        "--name",
        dest="names",
        action="append",
        metavar="NAME",
        help="what results call the object, once for each MASK (default: the files' names, or 'object 1' and so on)",
    )
    track.add_argument(
        "--from",
        dest="start",
        type=int,
        metavar="N",
        help="the frame to begin with, to which masks belong, counted from 0 (default: 0; with --backward the last)",
    )
    track.add_argument("--to", type=int, metavar="N", help="the last frame to track (default: where the clip ends)")
    track.add_argument("--every", type=int, default=1, metavar="N", help="track every N-th frame (default: all)")
    track.add_argument(
        "--backward", action="store_true", help="toward the beginning of the clip; overlay.mp4 still runs forward"
    )
    track.add_argument(
        "--max-side",
        type=int,
        metavar="PX",
        help="scale larger frames down to this many pixels; masks and places are given in the clip's own size",
    )
    track.add_argument("--cutout", action="store_true", help="write cutout.webm too: the objects alone, transparent")
    track.add_argument(
        "--export", choices=("coco_video", "mots"), help="write OUT/coco_video.json (YouTube-VIS) or OUT/mots.txt too"
    )
    track.add_argument("--no-overlay", action="store_true", help="write no overlay.mp4")
    json_option(track)
    existing_options(track)
    recipes = track.add_mutually_exclusive_group()
    recipes.add_argument(
        "--recipe",
        dest="video_recipe",
        metavar="RECIPE",
        default="persam_video",
        help="persam_video (the default), persam_video_fast, official_persam_video, official_persam_f_video",
    )
    recipes.add_argument(
        "--fast",
        dest="video_recipe",
        action="store_const",
        const="persam_video_fast",
        help="short for --recipe persam_video_fast: one encoding a frame instead of two",
    )
    recipes.add_argument(
        "--propagate-with",
        dest="video_model",
        metavar="MODEL",
        help="instead of a recipe, SAM 2.1 or EdgeTAM carries the masks, and concepts start it: a folder in "
        "transformers' layout, or a name at Hugging Face such as facebook/sam2.1-hiera-tiny, fetched once "
        "(needs persam[sam2])",
    )
    network_options(track, model_help="; with --concept: the one it was learned with")
