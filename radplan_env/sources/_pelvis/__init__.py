"""A parametric male pelvis: what is drawn (anatomy), shapes (organs, skeleton, outline), CT (tissues)."""
