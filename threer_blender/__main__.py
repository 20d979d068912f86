"""[S] `python -m threer_blender`: the command line."""

import sys

from .cli.command_line import main

sys.exit(main())
