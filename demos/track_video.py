"""Follows an object through a clip: `python demos/track_video.py CLIP MASK [OUT]`.

CLIP is a video file or a folder of frames, MASK a picture of its first frame's size with the object light and the rest
black, or a place in words, such as box:40,60,300,410. OUT/overlay.mp4 is to look at; OUT/masks holds a mask a frame.
"""

import sys
from pathlib import Path

import persam
from persam.io.track_folder import TrackFolder
from persam.io.video import open_video


def main(clip: str, mask: str, output: Path, model: str | persam.PerSAM = "nano") -> None:
    video = open_video(clip)
    assert video.count is not None  # a file's or a folder's is known
    with TrackFolder(output, video, range(video.count), existing="overwrite") as folder:
        for frame in persam.track(video, mask, model=model):
            print(frame)
            folder.write(frame)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3] if len(sys.argv) > 3 else "tracked"))
