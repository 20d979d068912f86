"""[S] `python -m threer_blender`: the command line."""

import sys

if not sys.flags.safe_path:
    sys.path.pop(0)  # the working folder: its files must not be imported as modules

from .cli.command_line import main  # after the working folder has left the path

sys.exit(main())
