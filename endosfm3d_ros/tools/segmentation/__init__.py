"""Where the instruments are in an image, from one of several sources behind one interface.

source = mask_source("colour")
mask = source.segment(frame)
"""
