"""Planners without a search of their own: the template, chance and a dosimetrist's rules."""
