"""The sending half of a reporter: when to send, how much, and what to do with each outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from emonhub.buffer.base import Batch
from emonhub.outcome import Delivered, DeliveredUpTo, Outcome, Rejected, RetryAfter
from emonhub.pacing import BatchSize, retry_wait
from emonhub.search import Search

if TYPE_CHECKING:
    from emonhub.reporter import Reporter

_LOCK_S = 1.0
"""Between two tries to become the one who sends, while a replay is; and to get at frames that can't be had for now."""


class Delivery:
    """Delivers what a reporter owes. One batch is in flight at a time, and stays the same until it is settled."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._failures = 0
        self._next_post = 0.0
        self._next_allowed = 0.0
        self._batch: Batch | None = None
        self._unsure = False  # the batch may have been taken already
        self._outdated = False  # its times have been put right since it was fetched
        self._ahead = -1  # the last frame that may have been taken before one that is older
        self._last_good: Batch | None = None  # the newest frame that the target has, to see whether it is well
        self._good_at = ""  # the target that has it
        self._size = BatchSize()
        self._search = Search()

    async def run(self) -> None:
        """Deliver for as long as the hub runs; ends after `stop` when nothing more goes."""
        reporter = self._reporter
        if reporter.folder is not None:
            self._ahead = reporter.folder.ahead
            if good := reporter.folder.known_good(self._target):
                self._last_good, self._good_at = Batch(-1, [good[1]], [good[0]]), self._target
        try:
            while True:
                await self._until_due()
                if not reporter.buffer.frames or self._paused:
                    return  # only a stop is due without frames
                wait = await self._attempt() if self._may_send() else _LOCK_S
                if wait:
                    if self._stopping:
                        return
                    await self._wait_for(self._hurry, wait)
        finally:
            self._keep_good()
            if reporter.folder is not None:
                reporter.folder.unlock()

    def stop(self) -> None:
        """Send what is left without waiting for the interval, and end at the first failure."""
        self._stopping = True
        self.hurry()

    def hurry(self) -> None:
        """Try again now, whatever the wait: something has changed that may have been the trouble."""
        self._failures = 0
        self._next_post = 0.0
        self._hurry.set()
        self._wake.set()

    def more(self) -> None:
        """There are more frames than before."""
        reporter = self._reporter
        if reporter.interval == 0 or reporter.buffer.frames >= reporter.batchsize or not self._next_post:
            self._wake.set()

    def older_came_to_light(self) -> None:
        """What is owed starts with other frames now: what was to be sent next is sent again, behind them."""
        self._search.over()
        if self._batch is not None:
            self._note_ahead(self._batch)
        self._batch = None
        self._unsure = False
        self._wake.set()

    def outdate(self) -> None:
        """The times of frames that wait have been put right."""
        self._outdated = True
        self.hurry()

    def settings_changed(self) -> None:
        """The target may be another one now; in any case it is worth a try."""
        if self._target != self._good_at:
            self._last_good = None
        self.hurry()

    # When

    @property
    def _paused(self) -> bool:
        reporter = self._reporter
        if reporter.pause in {"out", "all"}:
            reporter.held_up = "paused by its settings"
        elif reporter.folder is not None and reporter.folder.is_paused:
            reporter.held_up = "paused"
        elif reporter.world.clock.holding and not self._stopping:
            reporter.held_up = "waiting for the clock to be set"
        else:
            reporter.held_up = ""
        return bool(reporter.held_up)

    def _may_send(self) -> bool:
        """Whether nobody else sends to this target: two at once would mix up the order."""
        reporter = self._reporter
        if reporter.folder is None or reporter.folder.lock():
            return True
        reporter.held_up = "waiting for a replay to end"
        return False

    def _let_others_send(self) -> None:
        """A replay may take its turn while nothing is on its way, or while this is paused."""
        folder = self._reporter.folder
        if folder is not None and (self._batch is None or self._paused):
            folder.unlock()

    async def _until_due(self) -> None:
        buffer, monotonic = self._reporter.buffer, self._reporter.world.monotonic
        while not self._stopping:
            self._wake.clear()
            self._let_others_send()
            wait = max(self._next_post, self._next_allowed) - monotonic()
            if self._paused or not buffer.frames:
                # The timer is off when it has run out with nothing to send: then the next frame sets the alarm.
                if wait <= 0:
                    self._next_post = 0.0
                await self._wait_for(self._wake, wait if wait > 0 else None)
            elif self._next_allowed > monotonic():
                await self._wait_for(self._wake, self._next_allowed - monotonic())
            elif wait <= 0 or self._search.under_way or self._has_backlog:
                return
            else:
                await self._wait_for(self._wake, wait)

    @property
    def _has_backlog(self) -> bool:
        return self._reporter.buffer.frames >= self._size.limit(self._reporter.batchsize)

    async def _wait_for(self, event: asyncio.Event, seconds: float | None) -> None:
        if self._stopping and event is self._hurry:
            return
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    # What

    async def _attempt(self) -> float:
        """One request. Returns how long to wait before the next one, 0 when there is no trouble."""
        self._hurry.clear()
        if self._search.doubts_target and self._last_good is not None:
            return await self._probe(self._last_good)
        if self._outdated and not self._unsure:
            self._batch = None
        if self._batch is None:
            limit, skip = self._search.next(self._reporter.buffer.first, self._size.limit(self._reporter.batchsize))
            self._outdated = False
            self._batch = await self._reporter.buffer.fetch(limit, skip)
            if self._batch is not None and skip:
                self._note_ahead(self._batch)
        elif self._unsure and (count := await self._ask(self._batch)):
            return self._settle_delivered(self._batch, count)
        batch = self._batch
        if batch is None:
            # The frames refused are all there is, and nothing tells yet whose fault it is; or none can be had for now.
            return self._all_refused() if self._search.under_way else _LOCK_S
        outcome = await self._deliver(batch)
        if self._batch is not batch:
            return 0.0  # older frames have come to light meanwhile, and go first
        match outcome:
            case Delivered():
                return self._settle_delivered(batch, len(batch.records))
            case DeliveredUpTo(count) if count > 0:
                return self._settle_delivered(batch, count)
            case DeliveredUpTo():
                return self._settle_trouble(RetryAfter("the target took nothing of the batch"))
            case Rejected(reason):
                return await self._settle_rejected(batch, reason)
            case RetryAfter():
                return self._settle_trouble(outcome)

    async def _probe(self, known: Batch) -> float:
        """Does the target take at all what it has taken before? The same frame again changes nothing there."""
        match await self._deliver(known):
            case Delivered() | DeliveredUpTo():
                self._search.well = True
                return 0.0
            case Rejected():
                return self._all_refused()
            case RetryAfter() as outcome:
                return self._settle_trouble(RetryAfter(outcome.reason, outcome.seconds))

    async def _deliver(self, batch: Batch) -> Outcome:
        reporter = self._reporter
        reporter.requests += 1
        started = reporter.world.monotonic()
        outcome: Outcome
        try:
            outcome = await reporter.deliver(batch)
        except Exception as error:
            reporter.log.debug("deliver raised", exc_info=True)
            outcome = RetryAfter(f"{type(error).__name__}: {error}", ambiguous=True)
        now = reporter.world.monotonic()
        # Behind a full batch comes the rest of what has waited: the interval gathers frames, and holds up none.
        full = len(batch.records) >= self._size.limit(reporter.batchsize)
        self._next_post = now if full else now + reporter.interval
        if reporter.max_rate:
            self._next_allowed = started + len(batch.records) / reporter.max_rate
        if isinstance(outcome, Delivered):
            self._size.answered(now - started)
        return outcome

    async def _ask(self, batch: Batch) -> int | None:
        """How much of a batch the target has, as far as it can tell by the newest frame that it shows."""
        if batch.first <= self._ahead or self._reporter.buffer.repeats:
            return None  # it may show one that came before its turn: that says nothing of those before it
        try:
            return await self._reporter.already_has(batch)
        except Exception:
            self._reporter.log.debug("already_has raised", exc_info=True)
            return None

    @property
    def _target(self) -> str:
        return f"{self._reporter.form} {self._reporter.endpoint()}"

    def _keep_good(self) -> None:
        """For after a restart; once in a while is enough, as an old frame does as well."""
        good, self._good_at = self._last_good, self._target
        if good is not None and self._reporter.folder is not None:
            self._reporter.folder.keep_good(self._target, good.times[0], good.records[0])

    def _note_ahead(self, batch: Batch) -> None:
        """The target may have this, and not what is older. Outlives the process: it would lose frames to forget it."""
        self._ahead = max(self._ahead, batch.end - 1)
        if self._reporter.folder is not None:
            self._reporter.folder.ahead = self._ahead

    # What became of it

    def _settle_delivered(self, batch: Batch, count: int) -> float:
        reporter = self._reporter
        self._last_good = batch.only(count - 1)
        if self._good_at != self._target:
            self._keep_good()
        self._batch = None
        self._unsure = False
        if batch.first > reporter.buffer.first:
            # Tried out of turn, to see whether the target is well: it is, and this frame waits for its turn.
            self._search.well = True
            return 0.0
        reporter.acknowledged += reporter.buffer.remove(batch.first + count)
        if self._search.well:
            self._search.over()  # what was refused before is taken now: nothing was wrong with it
        self._failures = 0
        reporter.buffer.failing = False
        reporter.progress.note(reporter.world.monotonic(), reporter.taken, reporter.acknowledged)
        if reporter.trouble:
            reporter.trouble = ""
            reporter.log.info("Delivering again, %d frames waiting", reporter.buffer.frames)
        return 0.0

    async def _settle_rejected(self, batch: Batch, reason: str) -> float:
        self._batch = None
        count = len(batch.records)
        if count > 1 and (taken := await self._ask(batch)):
            # What stands before the bad frame has been taken, by this request unless one before it was in doubt.
            well = not self._unsure
            self._settle_delivered(batch, taken)
            if taken < count:
                self._search.suspect(self._reporter.buffer.first, reason, well=well)
            return 0.0
        if self._search.alone and self._search.well:
            await self._reporter.bury(batch, reason)
            self._search.convicted()
            return 0.0
        probing = bool(self._search.alone)
        self._search.refused(batch.first, batch.end, reason)
        if probing:
            return self._all_refused() if self._search.hopeless(self._failures) else 0.0
        if count > 1:
            self._reporter.log.info("A batch of %d frames is refused (%s): looking for the bad one", count, reason)
        return 0.0

    def _all_refused(self) -> float:
        # Frames that are all refused say more of the target than of themselves: none is given up.
        self._search.over()
        return self._settle_trouble(RetryAfter(f"every frame is refused ({self._search.reason})"))

    def _settle_trouble(self, outcome: RetryAfter) -> float:
        reporter = self._reporter
        self._failures += 1
        self._unsure = self._unsure or outcome.ambiguous
        self._search.well = False
        reporter.buffer.failing = True
        if outcome.ambiguous or outcome.seconds is not None:
            self._size.overburdened()
            self._shorten_batch()
        if outcome.reason != reporter.trouble:
            reporter.trouble = outcome.reason
            reporter.log.warning(
                "Can't deliver: %s. %d frames are kept and sent later", outcome.reason, reporter.buffer.frames
            )
        return retry_wait(self._failures, outcome.seconds, reporter.retry_max, reporter.world.random)

    def _shorten_batch(self) -> None:
        """What is sent again is sent unchanged, but less of it at a time where it was too much."""
        limit = self._size.limit(self._reporter.batchsize)
        if self._batch is not None and self._failures > 1 and len(self._batch.records) > limit:
            self._batch = self._batch.head(limit)
