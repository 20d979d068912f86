"""[S] Files as data: arrays in one file, folders of bundles, which files are photos."""
