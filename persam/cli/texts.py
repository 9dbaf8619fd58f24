"""What `persam COMMAND --help` says before it lists the options."""


def _mask_help(image: str) -> str:
    return f"""\
  MASK    where it is in {image}: an image of its size (object light, rest black); a LabelMe, COCO, CVAT, Label Studio
          or YOLO file (of several objects in it, --label N says which); or in words, in its pixels:
            box:x0,y0,x1,y1           two corners
            "points:x,y;x,y;-x,y"     places on the object; a leading - marks a place that is not
            "polygon:x,y;x,y;x,y"     its outline
            "scribble:x,y;x,y"        a line drawn over it
            propose:N                 a mask of the sheet that `persam propose` draws"""


SEGMENT_HELP = f"""\
Find an object in photos.

  REF     a photo that shows the object
{_mask_help("REF")}
  TARGET  where to look for it: photos, folders, or patterns such as "album/*.jpg"

Writes OUT/masks/*.png (0 and 255), OUT/overlays/*.jpg (to look at) and OUT/results.jsonl, one line per photo.
Masks are NAME.png; with --max-instances NAME_1.png, NAME_2.png, ...; with several --concept NAME_<concept>.png, and
with both NAME_<concept>_1.png, ... OUT/manifest.json says which run made them: another one is refused there. A run that
was stopped goes on with --resume."""
LEARN_HELP = f"""\
Learn an object from one or more photos of it, and save it in a file of 150 kilobytes or so.

  REF     a photo that shows the object
{_mask_help("REF")}"""
TRACK_HELP = f"""\
Follow objects through a video.

  CLIP    a video file, a folder of frames as pictures, or a pattern such as "walk/*.png"
{_mask_help("the frame --from")}

Writes OUT/masks/*.png (palette files as in DAVIS: the index is the number of the object), OUT/overlay.mp4 (to look at,
with the clip's sound) and OUT/results.jsonl, one line per frame. Several masks are several objects."""
PREPARE_HELP = f"""\
Make a folder to train DreamBooth from: photos of an object, each with a mask of it, checked.

  REF     a photo that shows the object
{_mask_help("REF")}
  PHOTO   what to train on: photos, folders, or patterns such as "rex/*.jpg"; with REF among them, its mask is MASK

A photo that cannot be read, does not show the object, or whose mask is doubtful is refused and named, with the reason.
Writes DIR/images and DIR/masks as the trainer of --for pairs them, captions, DIR/report.jsonl (an answer a line) and
DIR/sheet.jpg: look at it before you train. Photos are upright copies without metadata. With several --concept a photo
is used once for each that it shows, as NAME_<concept>."""
TRAIN_HELP = """\
Train a text-to-image model on the photos of a folder that `persam dreambooth prepare` wrote: the object counts, what is
around it does not. A LoRA for SD 1.5, SDXL or SD 3, or with --full the whole UNet of SD 1.5.

Options have the names that they have in diffusers' DreamBooth examples. It begins by saying how many photos are masked,
and OUTPUT_DIR/masks.jpg shows how; --dry-run ends there. Ctrl-C finishes the step, writes a checkpoint and says how to
go on. On several GPUs: accelerate launch -m persam.cli.main dreambooth train ..."""
RUN_HELP = f"""\
From an album to a trained model: `persam dreambooth prepare` into OUTPUT_DIR/photos, then `persam dreambooth train`.

  REF     a photo that shows the object
{_mask_help("REF")}
  PHOTO   what to train on: photos, folders, or patterns such as "rex/*.jpg"; with REF among them, its mask is MASK

With --dry-run the photos are prepared and nothing is trained: look at OUTPUT_DIR/photos/sheet.jpg. With
--resume_from_checkpoint latest a stopped run goes on, on the photos that it prepared."""
SCORE_HELP = f"""\
Say of generated pictures whether they show the object, and how much it looks like the one of the references.

  REF      a photo that shows the object
{_mask_help("REF")}
  SAMPLE   generated pictures, folders of them, or patterns such as "samples/*.png"

Presence says whether it is the object (0 to 1), fidelity how similar its parts are, each to the best of the other's,
within the masks: what is around it does not count. Fidelity compares runs on one object; it is no mark of quality."""
EVAL_HELP = """\
Measure recipes on a benchmark: predictions into files, scores from the files, rows into a CSV, a picture to look at.

  NAME    perseg, davis2016, davis2017, fss1000, coco20i, lvis92i, pascal_part, paco_part; and protocols of our own on
          DAVIS-2016's folder: album (a video as four photos), absence (does it say "not here"?), lookalikes (of
          another car?), counter_examples (the same, shown the other car once), mosaic (two videos side by side: does
          a tracker keep their objects apart?) and robustness (are darker, turned or smaller photos judged the same?
          PerSeg's folder will do too, or one that holds both)

A run that was stopped goes on where it was. Predictions made by other code, weights or settings are never reused.
`persam eval calibrate` fits a model's calibration instead: without one, nothing is ever refused. `persam eval
instances` counts instances in photos of its own."""
INSTANCES_HELP = """Count instances: photos composed of one thing several times, and how many come out as one each.

Things of the example photos (and of DIR) lie apart, in rows and grids, touch, overlap, lie among look-alikes and far
away; the examples' own photos of coins and cups follow. F1 is of masks matched one to one from an IoU of 0.5 on. A row
a layout goes into the CSV, and a picture a layout into OUT: look at it."""
CALIBRATE_HELP = """Fit what depends on a model's features, and from which similarity on an object counts as present.

  DIR     a folder in DAVIS-2016's layout (of each video the first frame is the reference, three later ones are the
          targets) or in PerSeg's. Every object is searched in the photos of all the others, so two are needed at least.

Prints what was fitted, and how many photos it refuses and accepts: these, and (each half of the objects judged by the
other half's fit) photos it has not seen. Each pair of an object and a photo costs two encodings."""
