"""What takes how long, and how much memory: scripts that check what they measure, and write results/."""

import pipeline  # noqa: F401 - before Arrow, as in what users run
