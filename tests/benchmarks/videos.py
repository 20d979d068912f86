"""The camera of a video, frame by frame, against the true one: how far it drifts.

nox -s benchmarks -- videos        or: python -m tests.benchmarks.videos CLIP …

The video alone goes in, cameras only, at preview quality. The whole path is brought to the true one by one similarity.
"""

import json
import tempfile

import numpy as np

from tests.benchmarks._measure import DATA, chosen, machine, measured, metrics, table

CLIPS = ("hololens_office_clip", "tum_fr1_rpy_clip")

SOLVE = """
from pathlib import Path
from threer_blender import headless
result = headless.reconstruct([sys.argv[1]], sys.argv[2], options={"quality": "preview", "points": False})
shot, = result.shots
keys = sum(result.camera(photo.name) is not None for photo in result.photos)
poses = {number: camera.camera_from_world.tolist() for number, camera in shot.cameras.items()}
end(chosen=len(result.photos), keys=keys, frames=shot.frame_count, poses=poses)
"""


def row(clip: str) -> list[object]:
    true = [np.array(frame["w2c"]) for frame in json.loads((DATA / clip / "cameras.json").read_text())["frames"]]
    with tempfile.TemporaryDirectory() as folder:
        case = measured(SOLVE, str(DATA / clip / "clip.mp4"), f"{folder}/result")
    poses = {int(number): np.array(pose) for number, pose in case["poses"].items()}
    scores = metrics().pose_scores(list(poses.values()), [true[number - 1] for number in poses])
    centres = np.array([np.linalg.inv(pose)[:3, 3] for pose in true])
    length = float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum())
    numbers = [f"{scores['AUC@5']:.2f}", f"{scores['median_r_deg']:.2f}", f"{scores['ate_rmse']:.3f}", f"{length:.1f}"]
    actual = f"{len(poses)}/{case['frames']}"
    return [clip, f"{case['keys']}/{case['chosen']}", actual, *numbers, f"{case['cpu']:.0f}", f"{case['peak_gib']:.2f}"]


def main() -> None:
    clips = chosen(__doc__, CLIPS)
    print(f"{machine()}\n")
    head = [
        "Clip",
        "Solved key frames",
        "Solved frames",
        "AUC@5",
        "Rotation, degrees",
        "ATE, m",
        "Path, m",
        "CPU-s",
        "Peak GiB",
    ]
    table(head, (row(clip) for clip in clips))


if __name__ == "__main__":
    main()
