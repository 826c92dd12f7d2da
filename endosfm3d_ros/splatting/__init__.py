"""Floor 2: differentiable Gaussian splatting, one signature for CUDA and CPU tensors."""
