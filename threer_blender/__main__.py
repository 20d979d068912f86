"""[S] `python -m threer_blender`: the command line."""

import sys

from .command_line import main

sys.exit(main())
