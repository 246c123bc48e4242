"""What is computed, from what, into what: configuration, artifacts, store, plan, stages, vectors, evaluation. No Prefect."""
