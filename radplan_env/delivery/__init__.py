"""Delivery: machines, apertures and their limits."""
