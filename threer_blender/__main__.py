"""[S] `python -m threer_blender`: the command line."""

import sys

if not sys.flags.safe_path:
    sys.path.pop(0)  # the working folder, whose files are no modules of ours

from .cli.command_line import main  # noqa: E402: nothing is to be imported from there

sys.exit(main())
