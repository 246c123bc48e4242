"""The update of one window as LLVM IR: every context and every output moves by gradients that `kernels.windows` has computed.

Contexts move one after the other, by the outputs as they were at the start of the window. An output drawn twice is one row: its changes
are added one after the other, from memory.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kernels.lanes import FLOAT, INT64, Lanes, cgutils, prefetch
from kernels.windows import MAX_CONTEXTS, ROW_MULTIPLE, Window

_CHUNKS = (4, 2, 1)  # contexts held in registers while all outputs stream by


class Update(Window):
    """Emits the update; which of three ways is best depends on the number of outputs and contexts."""

    coming: Any = None  # addresses of rows to ask for meanwhile
    n_coming = 0
    moves_contexts = moves_outputs = True

    def all(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """The update of any window."""
        if self.n_outputs > (12 if self.width == 16 else 6):
            self.many(contexts, outputs, n_blocks)
            return
        single = self.builder.icmp_unsigned("==", self.n_contexts, INT64(1))
        with self.builder.if_else(single) as (one, more):
            with one:
                self.one(contexts, outputs, n_blocks)
            with more:
                self.few(contexts, outputs, n_blocks)

    def ask(self, column: Any) -> None:
        """Ask for the cache lines of one column in the coming rows: a few at a time, else the core waits until they have come."""
        for number in range(self.n_coming):
            prefetch(self.builder, self.builder.gep(self.row(self.coming, INT64(number)), [column]))

    def one(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """One context and few outputs: the gradients stay in registers."""
        zero = INT64(0)
        hidden_row = self.row(contexts, zero)
        rows = [self.row(outputs, INT64(j)) for j in range(self.n_outputs)]
        gradients = [self.gradient(j, zero) for j in range(self.n_outputs)]
        with self.columns(n_blocks) as (column, _):
            self.ask(column)
            hidden = self.load(hidden_row, column)
            if self.moves_contexts:
                self.store(_weighted_sum(gradients, [self.load(row, column) for row in rows], hidden), hidden_row, column)
            for row, gradient in zip(rows, gradients, strict=True):
                if self.moves_outputs:
                    self.store(gradient.times_plus(hidden, self.load(row, column)), row, column)

    def few(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """Few outputs: contexts stream by, outputs and their changes stay in registers."""

        def body(members: list[Any]) -> None:
            for c in members:
                self.move(self.row(contexts, c), c, column, values, changes)

        rows = [self.row(outputs, INT64(j)) for j in range(self.n_outputs)]
        with self.columns(n_blocks) as (column, _):
            self.ask(column)
            values = [self.load(row, column) for row in rows]
            changes = self.variables(self.n_outputs)
            self.pairs(body)
            for row, change in zip(rows, changes, strict=True):
                if self.moves_outputs:
                    self.store(self.load(row, column) + self.read(change), row, column)

    def move(self, row: Any, context: Any, column: Any, outputs: list[Lanes], changes: list[Any]) -> None:
        """One block of columns of one context, and what it changes in the outputs."""
        hidden = self.load(row, column)

        def gradients() -> Iterator[Lanes]:
            for j, change in enumerate(changes):
                gradient = self.gradient(j, context)
                self.add_product(change, gradient, hidden)
                yield gradient

        moved = _weighted_sum(gradients(), outputs, hidden)
        if self.moves_contexts:
            self.store(moved, row, column)

    def gradient(self, j: int, context: Any) -> Lanes:
        """The gradient of output j and a context, in all lanes."""
        group = j // self.size
        numbers = self.groups()[group]
        index = self.builder.add(self.builder.mul(context, INT64(len(numbers))), INT64(j - numbers[0]))
        return self.spread(self.builder.add(self.plane(group), index))

    def spread(self, index: Any) -> Lanes:
        """Number `index` of the gradients, in all lanes."""
        return Lanes(self.builder, self.splat(self.builder.load(self.builder.gep(self.scores, [index]))))

    def many(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """More outputs than registers: two small matrix products for each few blocks of columns.

        First all contexts move, whose changes do not depend on contexts; `kept` holds each as it was when its turn came. Then the outputs.
        """
        builder, width = self.builder, self.width
        kept = cgutils.alloca_once(builder, FLOAT, size=MAX_CONTEXTS * 4 * width)
        kept.align = 64
        sizes = (4, 1) if width == ROW_MULTIPLE else (4, 2)
        done, end = INT64(0), n_blocks
        if sizes[-1] == 2:  # rows are whole cache lines, so an odd block has a neighbour of zeros
            end = builder.and_(builder.add(n_blocks, INT64(1)), INT64(-2))
        for size in sizes:
            stop = builder.mul(builder.udiv(end, INT64(size)), INT64(size))
            first, last = (builder.mul(block, INT64(width)) for block in (done, stop))
            with cgutils.for_range_slice(builder, first, last, INT64(size * width)) as (column, _):
                columns = [builder.add(column, INT64(i * width)) for i in range(size)]
                for i in range(0, size, max(1, ROW_MULTIPLE // width)):
                    self.ask(columns[i])
                self.pairs(lambda members, columns=columns: self.move_pair(contexts, outputs, kept, columns, members))  # type: ignore[misc]
                for i in range(0, size if self.moves_outputs else 0, 2):
                    self.move_outputs(outputs, kept, columns, range(i, min(i + 2, size)))
            done = stop

    def move_pair(self, contexts: Any, outputs: Any, kept: Any, columns: list[Any], members: list[Any]) -> None:
        """A few blocks of columns of one or two contexts; each is kept as it was."""
        builder = self.builder
        sums = [self.variables(len(columns)) for _ in members]

        def add_outputs(first: Any, plane: Any, size: int) -> None:
            starts = [builder.add(plane, builder.mul(c, INT64(size))) for c in members]
            with self.steps(INT64(size), 1) as (j, _):
                row = self.row(outputs, builder.add(first, j))
                gradients = [self.spread(builder.add(start, j)) for start in starts]
                for k, column in enumerate(columns):
                    value = self.load(row, column)
                    for gradient, places in zip(gradients, sums, strict=True):
                        self.add_product(places[k], gradient, value)

        self.every_group(add_outputs)
        for c, places in zip(members, sums, strict=True):
            row = self.row(contexts, c)
            for k, (column, place) in enumerate(zip(columns, places, strict=True)):
                hidden = self.load(row, column)
                if self.moves_contexts:
                    self.store(hidden + self.read(place), row, column)
                self.store(hidden, kept, self.kept_place(c, len(columns), k))

    def move_outputs(self, outputs: Any, kept: Any, columns: list[Any], blocks: range) -> None:
        """One or two of the blocks of all outputs, by as many contexts at a time as registers hold."""
        builder = self.builder
        done = cgutils.alloca_once(builder, INT64)
        builder.store(INT64(0), done)
        for n_members in _CHUNKS:
            left = builder.sub(self.n_contexts, builder.load(done))
            with self.steps(builder.udiv(left, INT64(n_members)), 1):
                start = builder.load(done)
                members = [builder.add(start, INT64(m)) for m in range(n_members)]
                hidden = [[self.load(kept, self.kept_place(c, len(columns), k)) for c in members] for k in blocks]
                self.add_contexts(outputs, [columns[k] for k in blocks], hidden, start)
                builder.store(builder.add(start, INT64(n_members)), done)

    def add_contexts(self, outputs: Any, columns: list[Any], hidden: list[list[Lanes]], start: Any) -> None:
        """Add to every output the contexts from number `start` on, times their gradients: hidden[k][m] is block k of context start + m."""
        builder = self.builder

        def move(first: Any, plane: Any, size: int) -> None:
            place = builder.add(plane, builder.mul(start, INT64(size)))
            with self.steps(INT64(size), 1) as (j, _):
                row = self.row(outputs, builder.add(first, j))
                gradients = [self.spread(builder.add(place, builder.add(j, INT64(m * size)))) for m in range(len(hidden[0]))]
                for column, values in zip(columns, hidden, strict=True):
                    output = self.load(row, column)
                    for gradient, value in zip(gradients, values, strict=True):
                        output = gradient.times_plus(value, output)
                    self.store(output, row, column)

        self.every_group(move)

    def kept_place(self, context: Any, n_blocks: int, block: int) -> Any:
        """Where `many` keeps a block of a context."""
        return self.builder.add(self.builder.mul(context, INT64(self.width * n_blocks)), INT64(block * self.width))

    def every_group(self, body: Callable[[Any, Any, int], None]) -> None:
        """Call `body` with the first output of a group, the start of its gradients and its size, in a loop: code grows with J otherwise.

        Without loops LLVM also orders the products so that most sums leave their registers: K 20 took twice the time.
        """
        builder, size = self.builder, self.size
        n_full, rest = divmod(self.n_outputs, size)
        with self.steps(INT64(n_full), 1) as (group, _):
            body(builder.mul(group, INT64(size)), builder.mul(group, self.plane(1)), size)
        if rest:
            body(INT64(n_full * size), self.plane(n_full), rest)


def _weighted_sum(weights: Iterable[Lanes], values: list[Lanes], start: Lanes) -> Lanes:
    """Start + the sum of weights times values, in at most four chains that do not wait for each other: 3 % faster than one chain of six."""
    chains = [start] + [start.splat(0.0)] * (min(4, -(-len(values) // 3)) - 1)
    for i, (weight, value) in enumerate(zip(weights, values, strict=True)):
        chains[i % len(chains)] = weight.times_plus(value, chains[i % len(chains)])
    total = chains[0]
    for chain in chains[1:]:
        total = total + chain
    return total
