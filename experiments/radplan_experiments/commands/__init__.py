"""What each command does, one module each; `experiments/*.py` are their doors."""

import sys
from pathlib import Path

sys.path.append(str(Path.cwd()))  # agents of your own
