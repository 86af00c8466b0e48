"""Keeps the CT that was read last, so that several pipelines on the same series read it only once.

What one of them found in it, others use (`CT.remembered`). It is let go before another one is read.
"""

from collections.abc import Callable, Hashable, Sequence

from service.domain.ct import CT
from service.domain.flags import OF_THE_CT, Flag, in_order


class LastCt:
    """Keeps one CT, if there are several pipelines. Only one thread at a time may ask."""

    def __init__(self, keeps: bool = False) -> None:
        self._keeps = keeps
        self._kept: tuple[Hashable, CT] | None = None

    def get(self, key: Hashable, flags: Sequence[Flag], read: Callable[[], CT]) -> CT:
        """The CT of this key, which stands for its files. flags: of the gate, which differ between pipelines.

        read: reads it, without flags of the gate.
        """
        if self._kept is None or self._kept[0] != key:
            self._kept = None
            self._kept = (key, read())
        ct = self._kept[1]
        if not self._keeps:
            self._kept = None
        return ct.with_flags(in_order((*flags, *ct.flags), OF_THE_CT))

    def analysed(self, ct: CT) -> None:
        """Forget what was found in the CT, unless another pipeline may ask: that is as large as the CT."""
        if not self._keeps:
            ct.memo.clear()

    def afresh(self) -> "LastCt":
        """The same for comparisons, which find everything anew (`CT.afresh`)."""
        return _Afresh(self)


class _Afresh(LastCt):
    def __init__(self, last: LastCt) -> None:
        super().__init__()
        self._last = last

    def get(self, key: Hashable, flags: Sequence[Flag], read: Callable[[], CT]) -> CT:
        return self._last.get(key, flags, read).afresh()
