"""Where everything is kept: artifacts and their manifests, the store, checkpoints, tables and their schemas. Knows no stage."""
