"""Compiled kernels: how far an aperture opens bixels, and how that changes when leaves move.

A leaf end that moves evenly from a to b has passed, on average, the share [I(b) − I(a)] / (b − a) of a bixel, where I
is the integral of the share that an end at rest has passed (Christiansen 2018, doi 10.1088/1361-6560/aae65e). Ends are
blurred by half a bixel to both sides: without that every edge between bixels is a kink, on which leaves come to rest.
"""

from __future__ import annotations

import numpy as np

from radplan_env.compiled import compiled


@compiled
def _integral(x, width, blur):  # type: ignore[no-untyped-def] # pragma: no cover
    """Integral of the share passed by an end at rest, blurred evenly over `blur` to both sides."""
    total = 0.0
    for sign in (1.0, -1.0):
        place = x + sign * blur
        if place > width:
            beyond = place - width
            total += sign * (width**3 / 6 + width**2 / 2 * beyond + width * beyond**2 / 2)
        elif place > 0:
            total += sign * place**3 / 6
    return total / (2 * blur * width)


@compiled
def _at_rest(x, width, blur):  # type: ignore[no-untyped-def] # pragma: no cover
    total = 0.0
    for sign in (1.0, -1.0):
        place = x + sign * blur
        if place > width:
            total += sign * (width**2 / 2 + width * (place - width))
        elif place > 0:
            total += sign * place**2 / 2
    return total / (2 * blur * width)


@compiled
def _passed(low, width, start, end):  # type: ignore[no-untyped-def] # pragma: no cover
    """Share of a bixel from `low` on that lies left of an end moving from start to end, blurred by half a bixel."""
    a, b, blur = start - low, end - low, width / 2
    if max(a, b) <= -blur:
        return 0.0
    if min(a, b) >= width + blur:
        return 1.0
    if abs(b - a) < 1e-3:
        return _at_rest((a + b) / 2, width, blur)
    return (_integral(b, width, blur) - _integral(a, width, blur)) / (b - a)


@compiled
def _slope(low, width, start, end, moves_start, moves_end, reach):  # type: ignore[no-untyped-def] # pragma: no cover
    """Mean slope of `_passed` within `reach` of one end's place, or of both where they are one control point's."""
    ahead = _passed(low, width, start + moves_start * reach, end + moves_end * reach)
    behind = _passed(low, width, start - moves_start * reach, end - moves_end * reach)
    return (ahead - behind) / (2 * reach)


@compiled
def openings(left, right, first, last, begin, end, pair, low, width, column, interval, share):  # type: ignore[no-untyped-def]  # pragma: no cover
    """List the bixels that each interval's leaves uncover, and by what share; return how many there are."""
    found = 0
    for n in range(first.size):
        a, b = first[n], last[n]
        for c in range(begin[n], end[n]):
            p = pair[c]
            opened = _passed(low[c], width, right[a, p], right[b, p]) - _passed(low[c], width, left[a, p], left[b, p])
            if opened != 0.0:
                column[found], interval[found], share[found] = c, n, opened
                found += 1
    return found


@compiled
def changes(  # type: ignore[no-untyped-def]
    left, right, units, first, last, begin, end, pair, low, width, transmission, reach, column, variable, slope
):  # pragma: no cover
    """List how each bixel's fluence changes with each leaf's end; return how many there are.

    Variables count control points by pairs: first all left ends, then all right ends.
    """
    points, pairs = left.shape
    found, near = 0, width / 2 + reach
    for n in range(units.size):
        a, b = first[n], last[n]
        scale = units[n] * (1 - transmission)
        for c in range(begin[n], end[n]):
            p = pair[c]
            for side in range(2):
                ends = left if side == 0 else right
                if max(ends[a, p], ends[b, p]) < low[c] - near or min(ends[a, p], ends[b, p]) > low[c] + width + near:
                    continue
                sign = -scale if side == 0 else scale
                for which in range(1 if a == b else 2):
                    moves_start, moves_end = (1, 1) if a == b else (1 - which, which)
                    value = _slope(low[c], width, ends[a, p], ends[b, p], moves_start, moves_end, reach)
                    if value != 0.0:
                        column[found] = c
                        variable[found] = side * points * pairs + (a if which == 0 else b) * pairs + p
                        slope[found] = sign * value
                        found += 1
    return found


@compiled
def add_columns(begin, end, indices, data, columns, factors, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add columns of K times their factors to `out` (rows,)."""
    for i in range(columns.size):
        factor = factors[i]
        for at in range(begin[columns[i]], end[columns[i]]):
            out[indices[at]] += factor * data[at]


@compiled
def add_columns_to(begin, end, indices, data, columns, factors, place, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add columns of K times their factors to rows `place` of `out` (places, rows)."""
    for i in range(columns.size):
        own, factor = out[place[i]], factors[i]
        for at in range(begin[columns[i]], end[columns[i]]):
            own[indices[at]] += factor * data[at]


@compiled
def products(begin, end, indices, data, columns, values, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the products of columns of K with values (rows,) to `out` (all columns,).

    Four sums a column, in the values' precision: one alone waits for each of its additions.
    """
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    zero = values.dtype.type(0)
    for column in columns:
        at, last = begin[column], end[column]
        whole = last - (last - at) % four
        a, b, c, d = zero, zero, zero, zero
        while at < whole:
            a += data[at] * values[indices[at]]
            b += data[at + one] * values[indices[at + one]]
            c += data[at + two] * values[indices[at + two]]
            d += data[at + three] * values[indices[at + three]]
            at += four
        while at < last:
            a += data[at] * values[indices[at]]
            at += one
        out[column] = (a + b) + (c + d)


@compiled
def squares(begin, end, indices, data, columns, values, out):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the products of columns of K, squared, with values (rows,) to `out` (all columns,)."""
    for column in columns:
        total = 0.0
        for at in range(begin[column], end[column]):
            total += values[indices[at]] * data[at] * data[at]
        out[column] = total
