"""What `persam COMMAND --help` says before it lists the options."""


def _mask_help(image: str) -> str:
    return f"""\
  MASK    where it is in {image}: an image of its size (object light, rest black), a LabelMe, COCO or YOLO file
          (of several objects in it, --label N says which), or in words, in its pixels:
            box:x0,y0,x1,y1           two corners
            "points:x,y;x,y;-x,y"     places on the object; a leading - marks a place that is not
            "polygon:x,y;x,y;x,y"     its outline
            "scribble:x,y;x,y"        a line drawn over it"""


SEGMENT_HELP = f"""\
Find an object in photos.

  REF     a photo that shows the object
{_mask_help("REF")}
  TARGET  where to look for it: photos, folders, or patterns such as "album/*.jpg"

Writes OUT/masks/*.png (0 and 255), OUT/overlays/*.jpg (to look at) and OUT/results.jsonl, one line per photo.
Masks are NAME.png; with --max-instances NAME_1.png, NAME_2.png, ...; with several --concept NAME_<concept>.png, and
with both NAME_<concept>_1.png, ..."""
LEARN_HELP = f"""\
Learn an object from one or more photos of it, and save it in a file of some dozen kilobytes.

  REF     a photo that shows the object
{_mask_help("REF")}"""
TRACK_HELP = f"""\
Follow objects through a video.

  CLIP    a video file, a folder of frames as pictures, or a pattern such as "walk/*.png"
{_mask_help("the frame --from")}

Writes OUT/masks/*.png (palette files as in DAVIS: the index is the number of the object), OUT/overlay.mp4 (to look at,
with the clip's sound) and OUT/results.jsonl, one line per frame. Several masks are several objects."""
EVAL_HELP = """\
Measure recipes on a benchmark: predictions into files, scores from the files, rows into a CSV, a picture to look at.

  NAME    perseg, davis2016, davis2017, fss1000, coco20i, lvis92i, pascal_part, paco_part; and three protocols of our
          own on DAVIS-2016's folder: album (a video as four photos), absence (does it say "not here"?) and mosaic (two
          videos side by side: does a tracker keep their objects apart?)

A run that was stopped goes on where it was. Predictions made by other code, weights or settings are never reused.
`persam eval calibrate` fits a model's calibration instead: without one, nothing is ever refused."""
CALIBRATE_HELP = """Fit what depends on a model's features, and from which similarity on an object counts as present.

  DIR     a folder in DAVIS-2016's layout (of each video the first frame is the reference, three later ones are the
          targets) or in PerSeg's. Every object is searched in the photos of all the others, so two are needed at least.

Prints what was fitted, and how many photos it refuses and accepts: these, and (each half of the objects judged by the
other half's fit) photos it has not seen. Each pair of an object and a photo costs two encodings."""
