"""Installed as `corpus2vec_data`: the sample corpus's configurations and the evaluation sets, found by name. See README.md."""
