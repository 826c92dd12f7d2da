"""TensorRT 10 and 11 and TensorRT for RTX: one code path, the module is passed in as `trt`.

Only names that all three have are used, except behind `TensorRtFlavour`; `test/engines` holds the
code against the surface of the importable module and a table of the differences.
"""
