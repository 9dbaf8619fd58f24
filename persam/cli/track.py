"""`persam track`. An edge, without logic of its own."""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persam.cli.marks import check_mask_words, read_each, read_mark, warned_already
from persam.cli.settings import digest_of_marks, digests_of_files, settings_of
from persam.cli.shell import files_of, load_concepts, load_model, load_model_of, make_writable, say
from persam.cli.table import Printer
from persam.errors import PerSAMError

if TYPE_CHECKING:
    from persam.io.video import Video
    from persam.method.prompts import UserPrompt
    from persam.model import PerSAM


@dataclass(frozen=True)
class _Objects:
    """What is tracked: masks and prompts in pixels of the frames as they are given, or concepts, which have names."""

    given: list[Any]
    names: list[str]
    are_concepts: bool = False


def track(options: argparse.Namespace) -> int:
    """Words, clip and masks are tried before a model is loaded."""
    from tqdm import tqdm

    import persam
    from persam.io.track_folder import NO_PYAV, TrackFolder
    from persam.io.video import open_video
    from persam.sam.video_model import check_source, load_video_model
    from persam.tracking.recipes import AnyTrackingRecipe, PropagationRecipe, find

    _check(options)
    recipe: AnyTrackingRecipe
    if options.video_model is None:
        recipe = find(options.video_recipe)
    else:
        check_source(options.video_model)
        recipe = PropagationRecipe(options.video_model)
    clip = open_video(options.inputs[0], max_side=options.max_side)
    places = _places(options, clip)
    objects = _objects(options, clip)
    words = _words(options, clip, objects) | {"recipe": recipe.name}

    def folder_of(model: "PerSAM | None" = None) -> TrackFolder:
        return TrackFolder(
            options.output,
            clip,
            places,
            overlay=not options.no_overlay,
            cutout=options.cutout,
            export_as=options.export,
            settings=settings_of(words, model),
            inputs=files_of(options, [*options.inputs[1:], *(options.concepts or ()), options.labels]),
            existing=options.existing,
        )

    folder = folder_of()
    folder.check()
    make_writable(options.output)
    if folder.overlay_missing:
        say(NO_PYAV)
    model = load_model_of(options, objects.given[0]) if objects.are_concepts else load_model(options)
    if isinstance(recipe, PropagationRecipe):
        video_model = load_video_model(options.video_model, device=options.device)
        recipe = PropagationRecipe(video_model)
        words |= {"video_model": video_model.name, "video_weights": video_model.fingerprint}
    folder = folder_of(model)
    results = persam.track(
        clip,
        objects.given,
        model=model,
        recipe=recipe,
        names=None if objects.are_concepts else objects.names,
        start=places.start,
        stop=places[-1] + (0 if options.backward else 1),
        step=options.every,
        backward=options.backward,
    )
    printer = Printer("frame", clip.names(places[:1]), as_json=options.json)
    present: Counter[str] = Counter()
    frames = 0
    with folder, warned_already(), tqdm(total=len(places), unit="frame", disable=None, file=sys.stderr) as bar:
        for result in results:
            record = folder.write(result)
            del result  # before the next one is computed: one in memory at a time
            present.update(one["concept"] for one in record["objects"] if one["present"])
            frames += 1
            bar.update()
            printer.show(record)
    counts = ", ".join(f"{name!r} in {present[name]}" for name in objects.names)
    say(f"tracked {counts} of {frames} frames; results are in {options.output}")
    return 0


def _words(options: argparse.Namespace, clip: "Video", objects: _Objects) -> dict[str, Any]:
    """What decides the results beside the model."""
    learned = (
        digests_of_files(options.concepts)
        if options.concepts
        else digest_of_marks((None, one) for one in objects.given)
    )
    return {
        "clip": options.inputs[0],
        "size": list(clip.size_hw),
        "objects": objects.names,
        "learned": learned,
    }


def _check(options: argparse.Namespace) -> None:
    ways = [len(options.inputs) > 1, options.labels is not None, options.concepts is not None]
    if sum(ways) != 1:
        raise PerSAMError("say what to track in one way: CLIP MASK..., CLIP --labels FILE, or CLIP --concept FILE.")
    masks = len(options.inputs) - 1
    if options.names and len(options.names) != masks:
        raise PerSAMError(f"--name is given once for each MASK: {len(options.names)} names, {masks} masks.")
    check_mask_words(options)
    if options.each and (masks != 1 or options.names):
        raise PerSAMError("--each takes one MASK and no --name: results are called 'object 1' on.")
    if options.every < 1:
        raise PerSAMError(f"--every {options.every} leads nowhere: give 1 for every frame, 2 for every second one.")


def _places(options: argparse.Namespace, clip: "Video") -> range:
    """The frames that are tracked, in the order in which they are read."""
    assert clip.count is not None  # only an iterator's is not known
    last = clip.count - 1
    if options.backward:
        start = last if options.start is None else options.start
        places = range(start, max(options.to or 0, 0) - 1, -options.every)
    else:
        start = options.start or 0
        places = range(start, min(last if options.to is None else options.to, last) + 1, options.every)
    clip.frames(start)  # says which frames there are, where it has none such
    if not places:
        raise PerSAMError(
            f"there is no frame from {start} to --to {options.to}: --to is the last frame to track, after --from, or "
            f"with --backward before it."
        )
    return places


def _objects(options: argparse.Namespace, clip: "Video") -> _Objects:
    if options.concepts:
        concepts = load_concepts(options.concepts)
        return _Objects(concepts, [one.name for one in concepts], are_concepts=True)
    if options.labels or options.each:
        masks = read_each(options.labels or options.inputs[1], clip.original_hw, image=options.inputs[0])
        return _Objects([_scaled_mask(one, clip) for one in masks.values()], list(masks))
    import numpy as np

    words = options.inputs[1:]
    given = [_object(word, clip, options) for word in words]
    files = [Path(word).stem for word, one in zip(words, given, strict=True) if isinstance(one, np.ndarray)]
    numbered = [f"object {number}" for number in range(1, len(words) + 1)]
    return _Objects(given, options.names or (files if len(set(files)) == len(words) else numbered))


def _object(word: str, clip: "Video", options: argparse.Namespace) -> Any:
    import numpy as np

    mark = read_mark(word, options, clip.original_hw, image=options.inputs[0])
    return _scaled_mask(mark, clip) if isinstance(mark, np.ndarray) else _scaled_prompt(mark, clip)


def _scaled_mask(mask: Any, clip: "Video") -> Any:
    """The mask in the size that --max-side gives the frames."""
    import numpy as np
    from PIL import Image

    height, width = clip.size_hw
    if mask.shape == (height, width):
        return mask

    scaled = np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    if not scaled.any():
        raise PerSAMError(f"a mask has no pixel left in frames of {width}x{height}. Give a larger --max-side.")
    return scaled


def _scaled_prompt(prompt: "UserPrompt", clip: "Video") -> "UserPrompt":
    from persam.method.prompts import Box, Points, Polygon, Proposed, Scribble

    (height, width), (first_height, first_width) = clip.size_hw, clip.original_hw
    if clip.size_hw == clip.original_hw or isinstance(prompt, Proposed):
        return prompt

    def scaled(places: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        return tuple((x * width / first_width, y * height / first_height) for x, y in places)

    if isinstance(prompt, Box):
        (x0, y0), (x1, y1) = scaled(((prompt.x0, prompt.y0), (prompt.x1, prompt.y1)))
        return Box(x0, y0, x1, y1)
    if isinstance(prompt, Points):
        return Points(scaled(prompt.inside_xy), scaled(prompt.outside_xy))
    return Polygon(scaled(prompt.corners_xy)) if isinstance(prompt, Polygon) else Scribble(scaled(prompt.line_xy))
