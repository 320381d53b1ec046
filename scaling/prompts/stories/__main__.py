"""Print the set, as `sets/stories.yaml` holds it."""

import sys

from scaling.prompts.stories import make, to_yaml

sys.stdout.write(to_yaml(make()))
