"""[R] The name under which other programs know `alignment/global_alignment.py`, wherever that stands."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module(".alignment.global_alignment", __package__)
