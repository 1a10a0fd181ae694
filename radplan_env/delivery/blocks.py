"""K by columns, in blocks of beams: a block is turned before the next is computed, so that K never lies there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beams import Beam, Bixels
from radplan_env.delivery import opening
from radplan_env.influence import DoseInfluence

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Angles = tuple[float, float]
"""Gantry and collimator angle of a beam."""

_BEAMS = 24  # of a block


@dataclass(frozen=True, eq=False)
class BlocksOfK:
    """K by columns.

    Parameters
    ----------
    beams : tuple of Beam
    bixels : Bixels
        What each column is, beam by beam.
    rows : int
    first : ndarray of int, shape (blocks,)
        First column of each block.
    blocks : tuple
        Where columns begin and end, and rows and values of each block's entries.
    """

    beams: tuple[Beam, ...]
    bixels: Bixels
    rows: int
    first: Index
    blocks: tuple[tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[Any], NDArray[np.float32]], ...]

    @classmethod
    def computed(cls, angles: Sequence[Angles], k_of: Callable[[Sequence[Angles]], DoseInfluence]) -> BlocksOfK:
        """Compute K of beams at these angles by what gives that of some of them."""
        beams: list[Beam] = []
        parts, blocks, rows = [], [], 0
        for start in range(0, len(angles), _BEAMS):
            k = k_of(angles[start : start + _BEAMS])
            parts.append((k.bixels.beam + len(beams), k.bixels.place))
            beams.extend(k.beams)
            rows = k.matrix.shape[0]
            matrix = k.matrix.tocsc()
            # Compiled loops look whether a signed index counts from the end.
            starts = matrix.indptr.astype(np.uint64)
            indices = matrix.indices.astype(np.uint16 if rows <= 1 << 16 else np.uint32)
            blocks.append((starts[:-1], starts[1:], indices, matrix.data))
            width_mm, offset = k.bixels.width_mm, k.bixels.offset
        beam, place = (np.concatenate(part) for part in zip(*parts, strict=True))
        sizes = [begin.size for begin, *_ in blocks]
        first = np.cumsum([0, *sizes[:-1]])
        return cls(tuple(beams), Bixels(beam, place, width_mm, offset), rows, first, tuple(blocks))

    def add(self, columns: Index, factors: NDArray[Any], out: NDArray[Any]) -> None:
        """Add columns, beam by beam, times their factors to `out` (rows,)."""
        for matrix, first, own in self._by_block(columns):
            opening.add_columns(*matrix, columns[own] - first, factors[own], out)

    def add_to(self, columns: Index, factors: NDArray[Any], place: Index, out: NDArray[Any]) -> None:
        """Add columns, beam by beam, times their factors to rows `place` of `out` (places, rows)."""
        for matrix, first, own in self._by_block(columns):
            opening.add_columns_to(*matrix, columns[own] - first, factors[own], place[own], out)

    def products(self, columns: Index, values: NDArray[Any], *, squared: bool = False) -> Array:
        """Return the products of columns, beam by beam, or of their squares, with values (rows,); 0 of the others."""
        out = np.zeros(len(self.bixels))
        kernel = opening.squares if squared else opening.products
        for matrix, first, own in self._by_block(columns):
            kernel(*matrix, columns[own] - first, values, out[first:])
        return out

    def _by_block(self, columns: Index) -> Iterator[tuple[tuple[Any, ...], int, slice]]:
        """Each block with its first column, and which of some columns are its own."""
        block = np.searchsorted(self.first, columns, side="right") - 1
        edges = np.searchsorted(block, np.arange(self.first.size + 1))
        for n, matrix in enumerate(self.blocks):
            if edges[n] < edges[n + 1]:
                yield matrix, int(self.first[n]), slice(edges[n], edges[n + 1])
