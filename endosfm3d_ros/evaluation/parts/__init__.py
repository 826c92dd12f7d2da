"""What an evaluation measures, part by part, fed with every update of a run."""
