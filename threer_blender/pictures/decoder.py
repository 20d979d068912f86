"""[R] A video file, opened for decoding: its picture stream, and its frames in display order. PyAV (FFmpeg).

Files are not trusted. Only containers that hold their pictures themselves are opened, none that name other files or
addresses. Neither a frame's size nor the number of packets may be out of proportion to the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.stream import Disposition
from av.video.stream import VideoStream

from ..files import bounded
from .decoding import Unusable

CONTAINERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "asf", "flv", "ogg", "mxf", "gif"),
    *("mpegvideo", "h264", "hevc", "m4v", "mjpeg", "dv", "ivf", "obu", "nut", "rm", "wtv", "gxf", "apng", "swf"),
    *("yuv4mpegpipe", "dnxhd", "vc1", "r3d", "nuv", "amv", "live_flv"),
)  # FFmpeg's names
OPEN_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
PATIENCE = 60.0  # seconds that opening, or reading a packet, may take
THREADS = 4  # decoding threads: each holds a frame
NO_FILM = Disposition.attached_pic | Disposition.timed_thumbnails  # covers and thumbnails
USUAL_PIXELS = 10_000_000  # of a frame: so many are allowed however small the file is
LARGEST_PIXELS = 200_000_000  # of a frame: more are allowed in no file
PIXELS_PER_BYTE = 32  # pixels above USUAL_PIXELS that a frame may have for each byte of its file
TIMES_READ = 4  # times the file's size that its packets may hold in all
MOST_FRAMES = 1_000_000  # of a film

FAULTS = (OSError, ValueError, av.FFmpegError)  # errors of opening and decoding a damaged video


class Decoder:
    """An open video file. Raises one of FAULTS where it is damaged, and Unusable where it holds no usable film.

    After `frames`, `packets` is the number of packets that were read, and `lost` the time stamps of those whose picture
    could not be decoded. `broken`: reading failed before the end of the file.
    """

    def __init__(self, path: Path, threaded: bool) -> None:
        bounded.open_regular(path).close()  # FFmpeg would wait for a pipe
        self.container = av.open(str(path.absolute()), options=OPEN_OPTIONS, timeout=PATIENCE)
        self.stream = _picture_stream(self.container)
        self._bytes = path.stat().st_size
        most = min(LARGEST_PIXELS, USUAL_PIXELS + PIXELS_PER_BYTE * self._bytes)
        if self.stream.width * self.stream.height > most:
            size = f"{self.stream.width} × {self.stream.height}"
            raise Unusable(f"Its header is damaged: frames of {size} pixels do not fit into so small a file.")
        self.stream.codec_context.options = {"max_pixels": str(most)}
        self.stream.thread_type = "AUTO" if threaded else "NONE"
        self.stream.thread_count = THREADS if threaded else 1
        self.packets = 0
        self.lost: list[int | None] = []
        self.broken = False

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yields the frames from the file's current position on, in display order.

        Frames that cannot be decoded are skipped. Raises Unusable where the packets are out of proportion to the file.
        """
        self.packets, self.lost = 0, []
        for packet in self._packets():
            try:
                frames = self.stream.decode(packet)
            except FAULTS:
                self.lost.append(packet.pts)
                continue
            yield from frames
        yield from self._rest()

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Yields the packets that are not empty. Raises Unusable where there are more than the file can hold."""
        packets = self.container.demux(self.stream)
        read = 0  # bytes
        while True:
            try:
                packet = next(packets, None)
            except FAULTS:
                self.broken = True
                return
            if packet is None:
                return
            self.packets += packet.size > 0
            read += packet.size
            if read > TIMES_READ * self._bytes:
                raise Unusable("Its index is damaged: it leads to the same bytes again and again.")
            if self.packets > MOST_FRAMES:
                raise Unusable(f"It has more than {MOST_FRAMES} frames.")
            if packet.size:
                yield packet

    def _rest(self) -> Iterator[av.VideoFrame]:
        """Yields the frames that the decoder still holds after the last packet."""
        for _ in range(2 * THREADS):
            try:
                yield from self.stream.decode(None)
                return
            except EOFError:
                return
            except FAULTS:
                self.lost.append(None)


def _picture_stream(container: av.container.InputContainer) -> VideoStream:
    """The video stream with the largest frames, the first of several such; no covers. Raises Unusable without one."""
    films = [stream for stream in container.streams.video if not stream.disposition & NO_FILM]
    if not films:
        raise Unusable("There is no film in this video, only sound or a cover.")
    decodable = [stream for stream in films if stream.codec_context is not None]
    if not decodable:
        raise Unusable("The codec of this video is not known.")
    return max(decodable, key=lambda stream: stream.width * stream.height)
