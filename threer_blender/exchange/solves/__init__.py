"""[S] The solves of other programs: their files, read as data, one file a format; `reading.read` opens them all."""
