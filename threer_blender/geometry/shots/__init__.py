"""[R] Camera tracking: the camera of every frame of a shot, whether it moves freely, only turns, or zooms."""
