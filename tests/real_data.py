"""Where sets of real photos lie, for the few tests that show more with them: see their README there.

Nothing in the suite needs them. Tests marked `real_data` are left out where the folder is absent.
"""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("THREER_DATA", Path(__file__).parents[2] / "shared" / "data"))
