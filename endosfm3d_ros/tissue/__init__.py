"""Floor 3: the tissue as a bounded set of Gaussians at the current time; `map.TissueMap`."""
