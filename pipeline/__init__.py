"""What is computed, from what, into what: configuration, artifacts, store, plan, stages, vectors, evaluation. No Prefect."""

import os

# The one thing that importing does. Arrow looks when it is loaded (a program that has loaded it before us goes on as it was), and so do
# the processes that are started from here. Why: see memory.py.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
