"""[R] The name under which other programs know `pairs/correspondences.py`, wherever that stands."""

import sys
from importlib import import_module

sys.modules[__name__] = import_module(".pairs.correspondences", __package__)
