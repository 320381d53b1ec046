"""What one run is: everything from text to a tracked, trained model."""

import os

# OpenMP's threads spin while they wait for each other. Where another process wants the core, that
# costs a training step many time slices: 1,500 tokens a second in place of 8,800 were seen. A
# short spin, then sleep, loses 3 % on an idle machine (docs/LOG.md). Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
