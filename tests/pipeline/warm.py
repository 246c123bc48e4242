"""Imported by the process that trainers are forked from, once."""

from tests.pipeline.trainers import warm_up

warm_up()
