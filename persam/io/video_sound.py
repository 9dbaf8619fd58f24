"""The sound of a clip for a video that is made of its pictures: its packets as they are, or encoded anew."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from persam.io.video_contents import import_av

RATE = 48000  # of sound that is encoded anew, in samples a second


class Sound:
    """Gives packets for a container, up to a time that the caller reaches step by step.

    Sound is an extra: whatever is wrong with it, from a missing track to a damaged packet, it ends and says nothing.
    """

    def __init__(self, path: Path, start: float, container: Any, copied: frozenset[str], encoder: str) -> None:
        """Adds a track to the container, unless the file has no sound.

        Args:
            path: the file with the sound.
            start: where it begins, in seconds from the first frame of the file's video.
            container: PyAV's, to write to; its header is not yet written.
            copied: FFmpeg's names of the codecs that go into the container as they are.
            encoder: FFmpeg's name of the encoder for those that do not.
        """
        av = import_av()
        self._source: Any = None
        self._packets: Iterator[tuple[float, Any]] = iter(())
        self._next: tuple[float, Any] | None = None
        try:
            self._source = av.open(str(path), metadata_errors="replace")
            track = next(iter(self._source.streams.audio), None)
            if track is None or track.codec_context is None:
                return
            begin = start + _shown_from(self._source)
            if begin > 0:
                with suppress(av.error.FFmpegError):  # then it is read from its beginning
                    self._source.seek(round(begin / track.time_base), stream=track, backward=True)
            if track.codec_context.name in copied:
                made = container.add_stream_from_template(track)
                self._packets = _copied(self._source, track, made, begin)
            else:
                made = container.add_stream(encoder, rate=RATE)
                made.layout = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
                made.codec_context.open()
                self._packets = _encoded(self._source, track, made, begin)
            self._advance()
        except (av.error.FFmpegError, ValueError, OSError):
            self.close()

    def until(self, time: float) -> Iterator[Any]:
        """The packets not yet given that begin before `time`, in seconds from the start."""
        while self._next and self._next[0] < time:
            yield self._next[1]
            self._advance()

    def close(self) -> None:
        """Gives no more packets."""
        self._next = None
        if self._source is not None:
            self._source.close()

    def _advance(self) -> None:
        av = import_av()
        try:
            self._next = next(self._packets, None)
        except (av.error.FFmpegError, ValueError, OSError):  # damaged: silence from here on
            self._next = None


def _shown_from(source: Any) -> float:
    """When the first frame of the file's video is shown, on the clock of its time stamps."""
    video = next(iter(source.streams.video), None)
    return float(video.start_time * video.time_base) if video is not None and video.start_time is not None else 0.0


def _copied(source: Any, track: Any, made: Any, begin: float) -> Iterator[tuple[float, Any]]:
    shift = round(begin / track.time_base)
    for packet in source.demux(track):
        # at the clip's own beginning the packet before it primes the decoder, and players skip it
        if packet.pts is None or not packet.size or (begin > 0 and packet.pts < shift):
            continue
        packet.pts -= shift
        packet.dts = packet.pts  # no sound is decoded in another order than it is heard
        at = float(packet.pts * packet.time_base)
        packet.stream = made
        yield at, packet


def _encoded(source: Any, track: Any, made: Any, begin: float) -> Iterator[tuple[float, Any]]:
    encoder = made.codec_context
    av = import_av()
    even = av.AudioResampler(encoder.format, encoder.layout, RATE, encoder.frame_size)
    samples: int | None = None
    for frame in chain(source.decode(track), [None]):  # None: what waits for a whole piece
        for piece in even.resample(frame):
            at = float(piece.pts * piece.time_base) - begin
            if at < 0:
                continue
            samples = round(at * RATE) if samples is None else samples
            piece.pts, piece.time_base = samples, Fraction(1, RATE)
            samples += piece.samples
            yield from _timed(made.encode(piece))
    yield from _timed(made.encode(None))


def _timed(packets: list[Any]) -> Iterator[tuple[float, Any]]:
    for packet in packets:
        yield float(packet.pts * packet.time_base), packet
