"""Wish-list planning: the protocol's criteria in order of priority, those reached held while the next are sought."""

from .agent import WishListAgent

__all__ = ["WishListAgent"]
