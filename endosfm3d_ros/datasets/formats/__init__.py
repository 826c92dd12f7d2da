"""Files beside recordings: cameras, poses, truth, and what belongs together by stamp or number."""
