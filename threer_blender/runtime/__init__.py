"""[R] Services for code inside the worker: progress reports, the device, the weights that are there."""
