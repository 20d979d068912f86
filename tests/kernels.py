"""Where compiled kernels lie: one folder for this process, for the workers that tests start, and for the next run."""

from pathlib import Path

from threer_blender.host import environment
from threer_blender.jobs import process

FOLDER = environment.user_folder() / process.KERNELS


def share(data_folder: Path) -> Path:
    """Links the shared folder of kernels into `data_folder`, so that workers find there what is compiled already.

    Makes `data_folder` where it is missing, and returns it.
    """
    data_folder.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (data_folder / process.KERNELS).symlink_to(FOLDER, target_is_directory=True)
    return data_folder
