"""Mini-batches of data, one after the other, that know their place."""
from __future__ import annotations

import copy
import functools
import numbers
import operator
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..core.errors import DataError, ShapeError, TypeRefused, line_of, user_site
from ..vocabulary.hints import PropertiesOfMatlab
from .ahead import Ahead
from .called import explained_options
from .datastore import Datastore, part_of
from .draws import drawn_seed
from .feed import StoreFeed, feed_of
from .maker import Maker
from .padding import checked_padding
from .processes import Processes


@explained_options
class minibatchqueue(PropertiesOfMatlab):
    """Mini-batches of data as labelled dlarrays.

    `minibatchqueue(data, mini_batch_size=128, ...)`. data: an array, or a tuple of arrays and lists with as many
    observations each, along axis 0 or B; a datastore; anything with `len` and `[k]` (a list of sequences, torch's and
    Hugging Face's datasets), whose items are observations; an iterable of observations; torch's DataLoader, whose
    items are mini-batches, as those of any iterable are with batched=True.

    `x, t = queue.next()` gives the next mini-batch, a tuple of arrays, or the array alone where there is one. In a
    `for` loop the queue goes on from its place to the end of the data; at the end it begins a new pass first.

    partial_mini_batch: "return" or "discard" a last mini-batch that is not full. function: is called with the parts of
    a mini-batch (arrays, or lists with one entry for each observation of what is read one by one) and returns its
    outputs; what it draws with gl.rand is the same each time.
    formats: the labels of the outputs, one string, or a list with one for each (None: as it is); known axes are moved
    into that order. cast: the type of floating numbers and of pixels (uint8 and uint16 arrays); a list says it for each
    output, of integers too, and None changes nothing. workers: threads that make mini-batches ahead; the mini-batches
    are the same with any number. processes=True makes them in processes instead, which take seconds to begin: for
    functions that hold Python's lock, defined at the top of a file. Words are classes: integers counted from 0, and
    `class_names` has the words. Observations that differ along T are padded: sequence_length,
    sequence_padding_direction and sequence_padding_value are those of padsequences; masks=True gives a mask "BT" after
    the outputs for each that has T.

    Raises DataError where there is no more data, or data does not fit.

    >>> import gradloom as gl
    >>> queue = gl.minibatchqueue(([[1.0], [2.0], [3.0]], ["cat", "dog", "cat"]), 2, formats=["BC", "B"])
    >>> x, t = queue.next()
    >>> x
    2(B) x 1(C) dlarray float32
    [[1.]
     [2.]]
    >>> t.tolist(), queue.class_names
    ([0, 1], ['cat', 'dog'])

    Source: MATLAB minibatchqueue.
    """

    def __init__(self, data: Any, mini_batch_size: int = 128, partial_mini_batch: str = "return",
                 function: Callable[..., Any] | None = None, formats: Any = None, cast: Any = "float32",
                 workers: int = 0, *, class_names: Any = None, seed: int | None = None, device: Any = None,
                 batched: bool | None = None, processes: bool = False, masks: bool = False,
                 sequence_length: str | int = "longest", sequence_padding_direction: str = "right",
                 sequence_padding_value: float = 0.0):
        size, workers = operator.index(mini_batch_size), operator.index(workers)
        if size < 1 or workers < 0:
            raise ShapeError(f"minibatchqueue: mini_batch_size={size}, workers={workers}, at {line_of(user_site())}; "
                             "write a mini_batch_size of 1 or more, and workers=0 or more")
        if partial_mini_batch not in ("return", "discard"):
            raise TypeRefused(f"partial_mini_batch is \"return\" or \"discard\", not {partial_mini_batch!r}, at "
                              f"{line_of(user_site())}; write partial_mini_batch=\"return\"")
        if function is not None and not callable(function):
            raise TypeRefused(f"function= takes a function of the parts of a mini-batch, not "
                              f"{type(function).__name__}, at {line_of(user_site())}; leave it out to stack them")
        self._feed = feed_of(data, size, partial_mini_batch == "discard", batched,
                             formats if function is None else None, class_names)
        parts = self._feed.store.parts if isinstance(self._feed, StoreFeed) else ()
        padding = checked_padding(sequence_length, sequence_padding_direction, sequence_padding_value, "minibatchqueue")
        self._maker = Maker(function, parts, formats, cast, class_names, padding, device, masks)
        self._workers, self._in_processes = workers, bool(processes)
        self._processes: Processes | None = None
        if processes and not workers:
            raise ShapeError(f"minibatchqueue: processes=True without workers, at {line_of(user_site())}; write "
                             "workers=2, processes=True")
        self._seed = drawn_seed() if seed is None else operator.index(seed)
        self._epoch = self._shuffles = self._position = 0
        self._source: Callable[[], Any] | None = None
        self._ahead: Ahead | None = None
        self._peeked: Any = None

    # ----- what it is -----

    @property
    def mini_batch_size(self) -> int:
        """How many observations a mini-batch has, but for the last."""
        return self._feed.size

    @property
    def num_observations(self) -> int | None:
        """How many observations a pass has; None where the data does not say."""
        return self._feed.count

    @property
    def class_names(self) -> Any:
        """The words of the classes, in the order of their integers; {output: words} where several are classes."""
        found = self._maker.class_names()
        return None if not found else next(iter(found.values())) if len(found) == 1 else found

    @property
    def masks(self) -> bool:
        """Whether the masks of outputs with an axis of time come after the outputs."""
        return self._maker.masks

    @property
    def can_shuffle(self) -> bool:
        """Whether the order is the queue's to choose: not of an iterable."""
        return self._feed.shuffles

    def __len__(self) -> int:
        """How many mini-batches a pass has."""
        if not isinstance(self._feed, StoreFeed):
            raise TypeRefused(
                f"an iterable does not say how many mini-batches it has, at {line_of(user_site())}; ask hasdata()")
        return -(-self._feed.end // self._feed.size)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        its = self._feed.store if isinstance(self._feed, StoreFeed) else type(self._feed.rows).__name__
        return f"minibatchqueue of {its!r}, {self._feed.size} at a time, at {self._position}"

    # ----- reading -----

    def hasdata(self) -> bool:
        """Whether there is another mini-batch in this pass."""
        if isinstance(self._feed, StoreFeed):
            return self._position < self._feed.end
        if self._peeked is None:
            try:
                self._peeked = self._take()
            except StopIteration:
                return False
        return True

    def next(self) -> Any:
        """The next mini-batch: a tuple of arrays, or the array where there is one output.

        Raises DataError after the last; `hasdata()` asks, `reset()` and `shuffle()` begin a new pass.
        """
        try:
            return next(self)
        except StopIteration:
            raise DataError(f"next: all mini-batches of this pass were read, at {line_of(user_site())}; ask hasdata() "
                            "first, or write reset() or shuffle()") from None

    def __next__(self) -> Any:
        if not self.hasdata():
            raise StopIteration
        peeked = self._peeked
        if peeked is None:
            try:
                peeked = self._take()
            except StopIteration:
                raise
            except Exception as error:
                error.add_note(f"in the mini-batch after {self._position} observations, asked for at "
                               f"{line_of(user_site())}")
                raise
        self._peeked = None
        count, outputs = peeked
        self._position += count
        return outputs

    def __iter__(self) -> Iterator[Any]:
        if not self.hasdata() and self._position:
            self.reset()
        return self

    def _take(self) -> Any:
        if self._source is None:
            self._source = self._opened()
        try:
            return self._source()
        except StopIteration:
            self._close()
            raise
        except BaseException:  # the next one is made anew
            self.close()
            raise

    def _opened(self) -> Callable[[], Any]:
        jobs = self._feed.jobs(self._seed, self._shuffles, self._epoch, self._position)
        made: Callable[..., Any] = functools.partial(_made, self._feed, self._maker)
        if self._in_processes:
            if self._processes is None:
                self._processes = Processes(made, self._workers)
                weakref.finalize(self, self._processes.close)
            made = self._processes.call

        def pull() -> Callable[[], Any]:
            count, arguments = next(jobs)
            return lambda: (count, made(*arguments))

        if not self._workers:
            return lambda: pull()()
        self._ahead = Ahead(pull, self._workers)
        return self._ahead.take

    def _close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._source = self._ahead = self._peeked = None

    # ----- its place -----

    def reset(self) -> None:
        """Begin a new pass, in the same order."""
        if not isinstance(self._feed, StoreFeed) and self._feed.once:
            if not self._position and self._source is None:
                return
            raise DataError(f"reset: {type(self._feed.rows).__name__} is an iterator, which can be read once, at "
                            f"{line_of(user_site())}; give a list, or an object whose __iter__ starts anew")
        self._close()
        self._epoch, self._position = self._epoch + 1, 0

    def shuffle(self) -> None:
        """Begin a new pass, in a new order."""
        if not self._feed.shuffles:
            raise DataError(f"shuffle: the order of {type(getattr(self._feed, 'rows', None)).__name__} is its own, at "
                            f"{line_of(user_site())}; shuffle where the data comes from, or give a list or a datastore")
        self.reset()
        self._shuffles += 1

    def state(self) -> dict[str, Any]:
        """Where the queue is, as numbers: `restore` of a queue over the same data goes on with the same mini-batches,
        to the bit."""
        return {"seed": self._seed, "shuffles": self._shuffles, "epoch": self._epoch, "position": self._position,
                "observations": -1 if self._feed.count is None else self._feed.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where a queue was when `state()` was asked.

        Raises DataError where that queue had other data, and for what `state()` never gave.
        """
        observations = -1 if self._feed.count is None else self._feed.count
        if (not isinstance(state, Mapping) or {*self.state()} - {*state}
                or not all([isinstance(state[name], numbers.Integral) for name in self.state()])
                or state["position"] < 0 or observations >= 0 and state["position"] > state["observations"] >= 0):
            raise DataError(f"restore: {state!r} is no place of a queue, at {line_of(user_site())}; give what "
                            "queue.state() returned")
        if int(state["observations"]) != observations:
            raise DataError(f"restore: the state is of {int(state['observations'])} observations, the data has "
                            f"{observations}, at {line_of(user_site())}; give the data that the state was saved with")
        self._close()
        self._seed, self._shuffles = int(state["seed"]), int(state["shuffles"])
        self._epoch, self._position = int(state["epoch"]), int(state["position"])

    # ----- parts -----

    def partition(self, n: int, k: int) -> minibatchqueue:
        """A queue over part k (counted from 0) of n parts of the observations; its shuffle stays inside the part."""
        feed = self._of_store("partition")
        store: Datastore = feed.store.subset(range(len(feed.store))[part_of(len(feed.store), n, k, "queue")])
        return self._with(StoreFeed(store, feed.size, feed.discards))

    def share(self, n: int, k: int) -> minibatchqueue:
        """A queue over part k of n parts of each mini-batch, for n processes that train together: its order and its
        state are those of the whole, and parts of a small mini-batch may be empty."""
        feed = self._of_store("share")
        part_of(0, n, k, "queue")
        return self._with(StoreFeed(feed.store, feed.size, feed.discards, (n, k)))

    def close(self) -> None:
        """Drop what was made ahead, and end threads and processes; the queue keeps its place, and goes on when it is
        asked."""
        self._close()
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def _of_store(self, word: str) -> StoreFeed:
        if not isinstance(self._feed, StoreFeed):
            raise DataError(f"{word}: an iterable has no parts, at {line_of(user_site())}; give a list or a datastore")
        return self._feed

    def _with(self, feed: StoreFeed) -> minibatchqueue:
        other = copy.copy(self)
        other._feed = feed
        other._source = other._ahead = other._peeked = other._processes = None
        other._position = 0
        return other


def _made(feed: Any, maker: Maker, *arguments: Any) -> Any:
    """A mini-batch; an iterator's end inside it is an error, and not the end of the data."""
    try:
        return feed.made(maker.made, *arguments)
    except StopIteration as error:
        raise DataError("reading raised StopIteration; raise another error there, or return the data") from error


__all__ = ["minibatchqueue"]
