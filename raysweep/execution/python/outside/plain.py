"""Plain data: values as text that a judge can read although a program wrote it.

Judge and program exchange arguments and results in this format; each side has one `Plain` for each call. Numbers,
strings, `None`, truth values and lists stand for themselves in JSON; an object with one key is any other value, and the
key says which kind (kinds.py). Nothing in it can run code or name a class that isn't in a table there. Both sides
number lists, dictionaries and other containers in the order in which they begin, so ``{"@": 3}`` is the very object
that had this number: shared and cyclic references and the identity of a result with an argument survive.

Bounds, checked while reading: BYTES for a message (codec.py), DEPTH for nesting, and the sizes of numbers. A text that
breaks a rule raises Malformed. What has no plain form becomes a handle: the other side gets its identity, truth value
and class name, and can call it or take its next item if it is a function or an iterator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from raysweep.execution.python.outside.codec import Malformed
from raysweep.execution.python.outside.set_order import SetOrder

DEPTH = 150  # `hash` of nested tuples and comparisons of nested lists use the C stack without a check
_SMALL = 10**18  # integers below it are written as JSON numbers
ATOMS = frozenset({str, bool, type(None)})
CALLABLE, ITERATOR, OPAQUE = "callable", "iterator", "opaque"  # kinds of handles
_UNFINISHED = object()  # an immutable container whose items are still being read


class NotPlain(TypeError):
    """A value can't be passed on: it is nested too deeply, or it is a function or an object of the sender's own."""


class Kinds(NamedTuple):
    """How values are written and read.

    `writers`: by class, from a value and its depth to what `json` writes. `readers`: the reverse, by the key that names
    the kind. `write_other`: writes an object of any other class, from the object, its class and its depth.
    """

    writers: Mapping[type, Callable[[Plain, Any, int], Any]]
    readers: Mapping[str, Callable[[Plain, Any, int], Any]]
    write_other: Callable[[Plain, Any, type, int], Any]


class Plain:
    """Writes and reads the values of one call; both sides use one, in the same order.

    `handle_of`: returns the number of a handle for an object without a plain form; raises NotPlain if there is none.
    `object_of`: returns the object of a handle that was read: number, kind, truth value, name of its class. `sets`:
    makes the sets of the program whose call it is.
    """

    def __init__(
        self,
        kinds: Kinds,
        handle_of: Callable[[Any], list[Any]],
        object_of: Callable[[int, str, bool, str], Any],
        sets: SetOrder,
    ) -> None:
        self._writers, self._readers, self._write_other = kinds
        self.handle_of, self._object_of = handle_of, object_of
        self.sets = sets
        self.objects: list[Any] = []  # by number
        self._numbers: dict[int, int] = {}  # by id
        self._heights: dict[int, int] = {}  # levels of nested containers in what was read, by number
        self._deepest = 0  # level so far, below the container that is being read

    # ------------------------------------------------------------------------------------------------ writing

    def write(self, value: Any, depth: int = 0) -> Any:
        """Return a value in the form in which `json` writes it."""
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else {"i": hex(value)}
        if kind is float and value - value == 0:  # finite
            return value
        if depth > DEPTH:
            raise NotPlain(f"it is nested more than {DEPTH} levels deep")
        number = self._numbers.get(id(value))
        if number is not None:
            return {"@": number}
        writer = self._writers.get(kind)
        if writer is not None:
            return writer(self, value, depth)
        return self._write_other(self, value, kind, depth)

    def write_items(self, values: Iterable[Any], depth: int) -> list[Any]:
        items = list(values)  # a copy: the container may change before what is written is sent
        kinds = set(map(type, items))
        if not kinds <= ATOMS and not (
            (kinds == {int} and min(items) > -_SMALL and max(items) < _SMALL)
            or (kinds == {float} and all(map(math.isfinite, items)))
        ):
            items = [self.write(item, depth + 1) for item in items]
        return items

    def begin(self, value: Any) -> None:
        self._numbers[id(value)] = len(self.objects)
        self.objects.append(value)

    def number_what_was_read(self) -> None:
        self._numbers.update((id(value), number) for number, value in enumerate(self.objects))

    def reset(self, mark: int) -> None:
        """Forget the containers that were written since there were so many as `mark`."""
        for value in self.objects[mark:]:
            self._numbers.pop(id(value), None)
        del self.objects[mark:]

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, node: Any, depth: int = 0) -> Any:
        """Return the value that `write` made this of; raise Malformed for what it doesn't write."""
        kind = type(node)
        if kind is list:
            result: list[Any] = []
            self.objects.append(result)
            result += self.read_items(node, depth)
            return result
        if kind is not dict:
            return node
        if depth > DEPTH:
            raise Malformed(f"it is nested more than {DEPTH} levels deep")
        try:
            ((tag, payload),) = node.items()
            return self._readers[tag](self, payload, depth)
        except (Malformed, MemoryError):
            raise
        except Exception as error:  # also what numpy raises for a text that names no dtype
            raise Malformed(f"not a value: {type(error).__name__}") from None

    def read_items(self, nodes: Any, depth: int) -> list[Any]:
        if type(nodes) is not list:
            raise Malformed("no list of items")
        if depth > DEPTH:
            raise Malformed(f"it is nested more than {DEPTH} levels deep")
        kinds = set(map(type, nodes))
        if dict in kinds or list in kinds:
            return [self.read(node, depth + 1) for node in nodes]
        return nodes

    def read_immutable(self, build: Callable[[list[Any]], Any], nodes: Any, depth: int) -> Any:
        """Return a container that is built once all its items are known; none of them may be the container itself."""
        number = len(self.objects)
        self.objects.append(_UNFINISHED)
        self.objects[number] = build(self.read_measured(number, nodes, depth))
        return self.objects[number]

    def read_measured(self, number: int, nodes: Any, depth: int) -> list[Any]:
        """Return the items of a container that C code enters without looking at the depth, to hash or to free it.

        References could nest such containers beyond DEPTH, though no text is nested so deeply. A list or dictionary in
        between ends that: it can't be hashed, and is freed in pieces.
        """
        before, self._deepest = self._deepest, depth
        items = self.read_items(nodes, depth)
        self._heights[number] = self._deepest + 1 - depth
        self._deepest = max(before, self._deepest + 1)
        return items

    def read_numbered(self, value: Any) -> Any:
        self.objects.append(value)
        return value

    def referred(self, number: Any, depth: int) -> Any:
        if type(number) is not int or not 0 <= number < len(self.objects) or self.objects[number] is _UNFINISHED:
            raise Malformed("a reference to nothing")
        if number in self._heights:
            self._deepest = max(self._deepest, depth + self._heights[number])
            if self._deepest > DEPTH:
                raise Malformed(f"it is nested more than {DEPTH} levels deep")
        return self.objects[number]

    def handle(self, fields: Any) -> Any:
        number, kind, truth, name = fields
        if (type(number), type(kind), type(truth), type(name)) != (int, str, bool, str) or len(name) > 200:
            raise Malformed("not a handle")
        return self._object_of(number, kind, truth, name)
