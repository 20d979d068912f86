"""[R] What code inside the worker may ask for: progress reports, the device, the weights that are there."""
