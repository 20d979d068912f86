"""Where compiled kernels lie: one folder for this process, for the workers that tests start, and for the next run."""

from pathlib import Path

from threer_blender import __version__
from threer_blender.host import environment
from threer_blender.jobs import process

FOLDER = environment.user_folder() / process.KERNELS


def share(data_folder: Path) -> Path:
    """Links the shared folder of kernels into `data_folder` as this version's, so that workers compile nothing again.

    Makes `data_folder` where it is missing, and returns it.
    """
    (data_folder / process.KERNELS).mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (data_folder / process.KERNELS / __version__).symlink_to(FOLDER, target_is_directory=True)
    return data_folder
