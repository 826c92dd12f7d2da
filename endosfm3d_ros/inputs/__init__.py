"""Floor 2: from a message or a file to a `Frame`, the same way for live and recorded input.

The contract of a frame: this image, this camera, these pixels, this moment. `pixels` says what the
bytes of a picture mean, `cameras` what a calibration means, `contract` which calibration belongs to
which pixels, `plausibility` what no endoscope has, and `report` what was done about it.
"""
