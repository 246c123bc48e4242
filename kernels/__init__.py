"""Arithmetic on NumPy arrays, compiled with Numba. No files, no logging, no configuration, no Dask, no Arrow.

Kernels never raise: the caller checks shapes, dtypes, contiguity and bounds once, then enters.
"""
