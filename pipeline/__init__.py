"""What is computed, from what, into what: configuration, artifacts, store, plan, stages, vectors, evaluation. No Prefect."""

import os

# Arrow looks once, when it is loaded; what this process starts does the same. Why: see memory.py.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
