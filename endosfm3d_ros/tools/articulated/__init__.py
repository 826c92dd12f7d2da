"""Instruments as what they are: a shaft, a wrist and jaws with joints, in ranges of dimensions."""
