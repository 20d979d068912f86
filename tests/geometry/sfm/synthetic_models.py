"""Models of photos that nobody took."""

import pycolmap


def five_photos(points: int) -> pycolmap.Reconstruction:
    """Five photos of one camera, whose observations of so many points are exact."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, 5
    options.num_points3D = points
    pycolmap.set_random_seed(0)
    return pycolmap.synthesize_dataset(options)
