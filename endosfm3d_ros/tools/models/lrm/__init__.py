"""Tool models from one image by the large reconstruction model: crop, density, surface."""
