"""Rebuilds sets whose items have the order that they had in the other process.

A set of CPython is a table of slots (Objects/setobject.c), and its order is that of the slots. Where an item lies
depends on its hash, on the size of the table and on the items that came before it, so that equal sets may have
different orders: ``{16, 12, 13, 14, 15}`` begins with 16, and ``set([16, 12, 13, 14, 15])`` with 12. The size depends
on how the set was made. Both processes have the same hashes, so a set is described by its items in their order and by
the size of its table.

Python has no way to choose slots or size. So a set is made in several ways, until one gives the wanted order and size:
its items are added one by one, or as keys of a dictionary, for which a set makes room at once; in their order, in other
ones, or between placeholders, which are removed again. Removed items leave slots that Python does not use again, so the
last way makes what a set is from which a program has removed items.

Not covered: which slots of removed items a set has, and where `set.pop` goes on, neither of which can be seen from
outside.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
import struct
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any, NamedTuple

SMALLEST = 8
"""Slots of an empty set."""
EFFORT = 30_000
"""Items, at most, for which likely slots are computed in one program, which takes about 30 microseconds each."""
_LARGE = 5_000  # items of a set beyond which they are not computed
_CHEAP = 16  # times as fast are the other ways
_SLOT_BYTES = struct.calcsize("nP")
_LINEAR_PROBES = 9
_PERTURB_SHIFT = 5
_PLACEHOLDER = 1 << 50  # added to a slot's number, it is an integer whose hash has that slot
_ROTATIONS = 32
_PASSES = 4  # over displaced items, until those come that find slots of removed items occupied
_PROBES = 64  # slots that are tried for an item; beyond these its order is given up


def slots_of(value: Any) -> int:
    """Return the number of slots of a set or frozenset, or of one of a subclass: a power of 2, 8 at least."""
    plain = set if isinstance(value, set) else frozenset
    return max(SMALLEST, (plain.__sizeof__(value) - type(value).__basicsize__) // _SLOT_BYTES)


class SetOrder:
    """Makes the sets of one program. What it may compute is bounded, so that no set keeps a judge busy.

    Once `EFFORT` is used up, and for items with hashes of their own process, a set has the order of a set to which its
    items were added one by one.
    """

    def __init__(self) -> None:
        self._left = EFFORT

    def fill(self, target: set[Any], items: list[Any], slots: int) -> None:
        """Fill an empty set, in order and in a table of `slots` if possible; raise TypeError if an item has no hash."""
        for parts, placeholders in self._ways(items, slots):
            target.clear()
            target.update(*parts)
            for placeholder in placeholders:  # `difference_update` might make the table smaller
                target.discard(placeholder)
            if slots_of(target) == slots and _in_order(target, items):
                return
        target.clear()
        target.update(items)

    def copy(self, value: set[Any]) -> set[Any]:
        """Return a set with the items, order and slots of another one, which `set.copy` may not keep."""
        result: set[Any] = set()
        self.fill(result, list(value), slots_of(value))
        return result

    def frozen(self, items: list[Any], slots: int) -> frozenset[Any]:
        """Return items, in order and in a table of `slots` if possible; raise TypeError if one has no hash."""
        in_order = None
        for parts, placeholders in self._ways(items, slots):
            value = frozenset(parts[0])
            if parts[1:] or placeholders:  # otherwise these would copy it, into a table of another size
                value = value.union(*parts[1:]).difference(placeholders)
            if _in_order(value, items):
                if slots_of(value) == slots:
                    return value
                in_order = in_order or value
        return in_order or frozenset(items)

    def _ways(self, items: list[Any], slots: int) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
        """Yield ways to make a set: parts that are added one after the other, and placeholders to remove from it then.

        A set that gets the keys of a dictionary makes room for twice the number of its items and of these keys before
        it adds the first; one that gets the items of a list makes room for four times its items whenever it is full.
        """
        yield (items,), []
        enough = slots // 2 - 1
        with_placeholders = []
        for order, placeholders in self._orders(items, slots):
            keys = dict.fromkeys(order)
            as_keys = (keys,) if len(order) <= enough else (dict.fromkeys(order[:enough]), order[enough:])
            ways = [as_keys, (order,), (keys, keys)]
            if placeholders:
                with_placeholders += [(way, placeholders) for way in ways]
                continue
            yield from ((way, []) for way in ways)
            # a table that has just grown holds its items in the order of the table before: another first item helps
            rotations = range(1, min(len(order), _ROTATIONS)) if len(order) <= _LARGE // _CHEAP else ()
            yield from (((order[first:] + order[:first],), []) for first in rotations)
        if len(items) <= SMALLEST // 2 and self._may_take(2):  # one of these makes any set that lost no items
            yield from ((([*order],), []) for order in itertools.permutations(items))
        yield from with_placeholders

    def _orders(self, items: list[Any], slots: int) -> Iterator[tuple[list[Any], list[int]]]:
        yield items, []
        if self._may_take(len(items) // _CHEAP):
            yield _displaced_last(items, slots), []
        for power in (1, 2, 0.5):
            if len(items) <= _LARGE and self._may_take(len(items) + slots // _CHEAP):
                places = _places(items, slots, power)
                if places is not None:
                    yield _order_of_adding(items, places, slots)

    def _may_take(self, effort: int) -> bool:
        if effort > self._left:
            return False
        self._left -= effort
        return True


def _in_order(value: Any, items: Sequence[Any]) -> bool:
    return len(value) == len(items) and all(map(operator.is_, value, items))


def _displaced_last(items: list[Any], slots: int) -> list[Any]:
    """Return items so that those come first whose own slots ascend; the others found their own slot occupied."""
    homes = [hash(item) & (slots - 1) for item in items]
    ascending = set(_longest_ascending(homes))
    displaced = [item for at, item in enumerate(items) if at not in ascending]
    return [item for at, item in enumerate(items) if at in ascending] + displaced


def _longest_ascending(numbers: list[int]) -> list[int]:
    """Return the positions of a longest strictly increasing subsequence (patience sorting), the last one first."""
    ends: list[int] = []  # the smallest number at which a subsequence of each length ends
    positions: list[int] = []
    before: list[int] = []
    for position, number in enumerate(numbers):
        length = bisect.bisect_left(ends, number)
        before.append(positions[length - 1] if length else -1)
        ends[length : length + 1] = [number]
        positions[length : length + 1] = [position]
    chain, at = [], positions[-1] if positions else -1
    while at >= 0:
        chain.append(at)
        at = before[at]
    return chain


def _places(items: Sequence[Any], slots: int, power: float) -> list[int] | None:
    """Return a likely slot for each item, in ascending order; None if there is none.

    The likeliest slots have the smallest sum over the items of the number of slots that are tried before, to a power.

    `items`: in the order of their slots. `slots`: size of the table. `power`: above 0.
    """
    best: dict[int, _Chain] = {-1: _Chain(0.0, -1, None)}  # by the slot of the last item so far
    for item in items:
        ends = sorted(best)
        cheapest = list(itertools.accumulate((best[end] for end in ends), _cheaper))
        reached: dict[int, _Chain] = {}
        for tries, slot in enumerate(dict.fromkeys(islice(_probes(hash(item), slots), _PROBES))):
            at = bisect.bisect_left(ends, slot) - 1
            if at >= 0:
                reached[slot] = _Chain(cheapest[at].cost + tries**power, slot, cheapest[at])
        best = reached
    if not best:
        return None
    chain = functools.reduce(_cheaper, best.values())
    places = []
    while chain.before is not None:
        places.append(chain.slot)
        chain = chain.before
    return places[::-1]


class _Chain(NamedTuple):
    """Slots of some items, from the last to the first, which ends with a chain for none."""

    cost: float
    slot: int
    before: _Chain | None


def _cheaper(one: _Chain, other: _Chain) -> _Chain:
    return one if one.cost <= other.cost else other


def _order_of_adding(items: list[Any], places: Sequence[int], slots: int) -> tuple[list[Any], list[int]]:
    """Return items and placeholders so that each item finds all slots occupied that are tried before its own place.

    At the end stand as many placeholders as a table of that size needs to be made.

    Returns:
        (the order, the placeholders in it)
    """
    at_home = [place == hash(item) & (slots - 1) for item, place in zip(items, places, strict=True)]
    order = list(itertools.compress(items, at_home))
    occupied = set(itertools.compress(places, at_home))
    displaced = [entry for entry, home in zip(zip(items, places, strict=True), at_home, strict=True) if not home]
    placeholders: list[int] = []
    for may_take_placeholders in [False] * _PASSES + [True]:
        waiting = []
        for item, place in displaced:
            lacking = [slot for slot in _before(item, place, slots) if slot not in occupied]
            if lacking and not may_take_placeholders:
                waiting.append((item, place))
                continue
            order += [*(_PLACEHOLDER + slot for slot in lacking), item]
            placeholders += [_PLACEHOLDER + slot for slot in lacking]
            occupied.update(lacking, (place,))
        displaced = waiting
    least = max(5, slots // 4) if slots > SMALLEST else 0  # a set of fewer items gets a smaller table
    free = (slot for slot in count() if slot not in occupied)
    more = [_PLACEHOLDER + slot for slot in islice(free, max(0, least - len(order)))]
    return order + more, placeholders + more


def _before(item: Any, place: int, slots: int) -> list[int]:
    before = []
    for slot in islice(_probes(hash(item), slots), _PROBES):
        if slot == place:
            break
        before.append(slot)
    return before


def _probes(hashed: int, slots: int) -> Iterator[int]:
    """Yield the slots that CPython tries for an item with that hash (`set_add_entry` in setobject.c)."""
    mask = slots - 1
    perturb = hashed & (2**64 - 1)
    start = hashed & mask
    while True:
        yield from range(start, start + (_LINEAR_PROBES if start + _LINEAR_PROBES <= mask else 0) + 1)
        perturb >>= _PERTURB_SHIFT
        start = (start * 5 + 1 + perturb) & mask
