"""[S] The expected cost of a shot, beside what the engine takes: known from its frames, before anything is decoded."""

from __future__ import annotations

LONG = 1500  # frames: the cost of a longer shot is told in a sentence of its own
SECONDS = 0.35  # for each frame, on one core: tracking its points and solving its camera
SECONDS_PER_PIXEL = 1.2e-8  # of each frame: it is decoded twice, for the index and for tracking
BYTES = 2e5  # for each frame's tracks, while all frames are solved at once
USUAL_PIXELS = 1920 * 1080  # of a frame whose size is not known yet


def seconds(frames: int, pixels: int = USUAL_PIXELS) -> float:
    """Seconds for this number of frames of so many pixels each."""
    return frames * (SECONDS + SECONDS_PER_PIXEL * pixels)


def memory(frames: int) -> float:
    """Bytes for the tracks of this number of frames."""
    return frames * BYTES


def sentence(name: str, frames: int, pixels: int = USUAL_PIXELS) -> str:
    """A sentence on the expected cost of the shot `name`; "" where its frames are few."""
    if frames < LONG:
        return ""
    return (
        f"{name} has about {frames:,} frames: reading them, following points through them and solving them takes about "
        f"{seconds(frames, pixels) / 60:.0f} minutes and {memory(frames) / 1e9:.1f} GB of memory, beside what the "
        "engine takes. Cancel and choose a shorter film where that is too much."
    )
