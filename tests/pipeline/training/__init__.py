"""Tests of how the train stage trains."""
