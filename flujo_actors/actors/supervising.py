"""The supervisor of actors: starts children in order, stops them in reverse, and acts when one of them ends.

It does one thing at a time, as OTP's does. What it decides is decided by pure functions (`strategies`, `intensity`) and
reported before it is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar

import trio

from flujo_actors.actors.children import Above, Child, ChildEnded, Incarnation, StopChild, SupervisorMessage
from flujo_actors.actors.endings import Crashed, Ending, Finished, ShutDown
from flujo_actors.actors.environment import Environment
from flujo_actors.actors.events import ChildFailed, ChildStarted, ChildStopping, GivingUp, Restarting
from flujo_actors.actors.intensity import too_many, with_restart
from flujo_actors.actors.specifications import ChildSpecification, SupervisorSpecification
from flujo_actors.actors.strategies import Plan, plan, restarts
from flujo_actors.errors import ActorStartError, ActorStoppedError, RestartIntensityError
from flujo_actors.nurseries import open_inner_nursery

ChildT = TypeVar("ChildT", bound=Child)
ChildT_co = TypeVar("ChildT_co", bound=Child, covariant=True)
SpecificationT = TypeVar("SpecificationT", bound=ChildSpecification)
SpecificationT_contra = TypeVar("SpecificationT_contra", bound=ChildSpecification, contravariant=True)


class ChildType(Protocol[SpecificationT_contra, ChildT_co]):
    """What makes the place of a child."""

    def __call__(
        self, specification: SpecificationT_contra, path: str, supervisor: Child | None, environment: Environment
    ) -> ChildT_co:
        """Make the place, with nobody in it."""
        ...


class SupervisorChild(Child):
    """A place in which a supervisor lives. The places of its children stay when it is started again."""

    def __init__(
        self, specification: SupervisorSpecification, path: str, supervisor: Child | None, environment: Environment
    ) -> None:
        # The capacity is of no concern: whatever comes in is delivered, so that nobody waits for a busy supervisor.
        super().__init__(specification, path, supervisor, environment, capacity=1)
        self.supervision = specification.supervision
        self.children: list[Child] = []
        """Those that have started at least once, in the order in which they first did."""
        self.up = trio.Event()
        """Set while it takes children, and once it has stopped for good."""
        self._names: Counter[str] = Counter()

    def _incarnation(self, above: Above) -> SupervisorIncarnation:
        return SupervisorIncarnation(self, above)

    async def spawn(self, kind: ChildType[SpecificationT, ChildT], specification: SpecificationT) -> ChildT:
        """Start a child, from now on the last one.

        A checkpoint. Cancelled, the child is cancelled, and has ended when this raises.

        Args:
            kind: makes the child's place.
            specification: what the child is.

        Raises:
            ActorStartError: the child could not be started, and is no child.
            ActorStoppedError: this supervisor has stopped, or is stopping.
        """
        supervisor = await self._running()
        name = self._distinct(specification.name)
        child = kind(specification, f"{self.path}/{name}" if self.path else name, self, self.environment)
        await supervisor.start_new(child)
        return child

    def conclude(self) -> None:
        """Conclude the children that are left, then itself."""
        for child in reversed(self.children):
            child.conclude()
        super().conclude()
        self.up.set()

    async def _running(self) -> SupervisorIncarnation:
        """The incarnation that takes children, as soon as there is one."""
        while not self.mailbox.closed:
            if self.up.is_set() and isinstance(self.incarnation, SupervisorIncarnation):
                return self.incarnation
            await self.up.wait()
        raise ActorStoppedError(self.path)

    def _distinct(self, name: str) -> str:
        """The name, numbered if another child has had it."""
        self._names[name] += 1
        number = self._names[name]
        return name if number == 1 else f"{name}#{number}"


class SupervisorIncarnation(Incarnation):
    """One life of a supervisor."""

    __slots__ = ("_nursery", "_place", "_report", "_restarts", "_starting", "_waiting")

    _nursery: trio.Nursery

    def __init__(self, place: SupervisorChild, above: Above) -> None:
        super().__init__(place, above)
        self._place = place
        self._report = place.environment.reporter.report
        self._starting: list[Child] = []
        """Those that their spawner still waits for. They become children when they have started."""
        self._restarts: tuple[float, ...] = ()
        """When children were started again, as far as it counts, on trio's clock."""
        self._waiting = trio.CancelScope()
        """Around the waiting for a child to start, which ends when the supervisor is to stop."""

    async def live(self) -> Ending:
        """Start the children that the last incarnation left, supervise, and stop them, whatever happens."""
        async with open_inner_nursery() as nursery:
            self._nursery = nursery
            try:
                await self._start_those_left()
                self.has_started()
                self._place.up.set()
                ending = await self._supervise()
                await self._stop_children(ending.reason, final=self.drains)
            except (RestartIntensityError, ActorStartError):
                await self._stop_children("its supervisor has failed", final=False)
                raise
            finally:
                with trio.CancelScope(shield=True):
                    await self._stop_children(self.why_cancelled(), final=False, kill=True)
        return ending

    def request_stop(self, reason: str, *, final: bool) -> None:
        """Ask it to stop: it waits for no child to start any longer, and stops them all in reverse order."""
        super().request_stop(reason, final=final)
        self._waiting.cancel(reason)

    async def start_new(self, child: Child) -> None:
        """Start a child for the first time, in the task of its spawner."""
        self._starting.append(child)
        incarnation = child.begin(self._nursery, self)
        try:
            await incarnation.ready.wait()
        except trio.Cancelled:
            incarnation.cancel("its spawn was cancelled")
            child.request_stop("its spawn was cancelled")  # it may have become a child just now
            with trio.CancelScope(shield=True):
                await incarnation.ended.wait()
            raise
        if not incarnation.started:
            raise _start_error(child)

    def child_started(self, incarnation: Incarnation) -> None:
        """A child has started: for the first time, or once more."""
        child = incarnation.child
        if child in self._starting:
            self._starting.remove(child)
            self._place.children.append(child)
        self._report(ChildStarted(child.path, incarnation.number))

    def child_ended(self, incarnation: Incarnation) -> None:
        """A child has ended, by itself or not. One that has never started is forgotten; its spawner is told."""
        child = incarnation.child
        if child in self._starting:
            self._starting.remove(child)
            self._take_note(child)
            child.conclude()
        elif not incarnation.interrupted:  # in that case the supervisor is being cancelled too
            self.mailbox.deliver(ChildEnded(incarnation))

    async def _supervise(self) -> ShutDown | Finished:
        while (leaving := self.leaving) is None:
            if self.mailbox:
                await self._act_on(self.mailbox.get_nowait())
            else:
                await self.mailbox.wait()
        return leaving

    async def _act_on(self, message: SupervisorMessage) -> None:
        match message:
            case ChildEnded(incarnation):
                # One that was stopped on purpose has been dealt with where it was stopped.
                if incarnation.child.incarnation is incarnation:
                    await self._recover(incarnation.child)
            case StopChild(child, reason):
                if not child.stopped.is_set():
                    await self._stop_child(child, reason, final=True)

    async def _recover(self, child: Child) -> None:
        """Do about a child that has ended what restart type, intensity and strategy say; again if that fails too."""
        failed: Child | None = child
        while failed is not None:
            ending = self._take_note(failed)
            if not restarts(failed.restart, ending):
                self._forget(failed)
                return
            decided = self._decide(failed, ending)
            for sibling in decided.stop:
                await self._stop_child(sibling, f"it is affected by {failed.path!r}", final=False)
            failed = await self._start(decided.start)

    def _decide(self, failed: Child, ending: Ending) -> Plan[Child]:
        """What to do about a child that is to be started again, reported.

        Raises:
            RestartIntensityError: there were too many restarts: nothing is to be done but to give up.
        """
        place = self._place
        supervision = place.supervision
        self._restarts = with_restart(self._restarts, trio.current_time(), supervision.period)
        if too_many(self._restarts, supervision.intensity):
            self._report(GivingUp(place.path, failed.path, ending, supervision.intensity, supervision.period))
            raise self._giving_up(failed, ending)
        decided = plan(supervision.strategy, place.children, failed)
        stop, start = (tuple(child.path for child in children) for children in (decided.stop, decided.start))
        self._report(Restarting(place.path, failed.path, ending, stop, start, len(self._restarts)))
        return decided

    def _giving_up(self, failed: Child, ending: Ending) -> RestartIntensityError:
        place, supervision = self._place, self._place.supervision
        hint = " (`Restart.TRANSIENT` lets it end)" if isinstance(ending, Finished) else ""
        error = RestartIntensityError(
            place.path, failed.path, f"{ending}{hint}", supervision.intensity, supervision.period
        )
        error.__cause__ = ending.error if isinstance(ending, Crashed) else None
        return error

    async def _start_those_left(self) -> None:
        failed = await self._start(self._place.children)
        if failed is not None:
            self._take_note(failed)
            raise _start_error(failed)

    async def _start(self, children: Iterable[Child]) -> Child | None:
        """Start children again, one after another.

        Returns:
            The one that failed to start; those after it were not started. `None` when all went well, and when the
            supervisor is to stop meanwhile.
        """
        for child in tuple(children):
            if self.leaving is not None:
                break
            if child.stopped.is_set():  # it was found to have ended for good when it was to be stopped
                continue
            incarnation = child.begin(self._nursery, self)
            with trio.CancelScope() as self._waiting:
                await incarnation.ready.wait()
            if incarnation.ended.is_set() and not incarnation.started:
                return child
        return None

    async def _stop_children(self, reason: str, *, final: bool, kill: bool = False) -> None:
        """Stop all children, the last one first, and take no new ones."""
        if self._place.up.is_set():
            self._place.up = trio.Event()
        for child in reversed([*self._place.children, *self._starting]):
            await self._stop_child(child, reason, final=final, kill=kill)

    async def _stop_child(self, child: Child, reason: str, *, final: bool, kill: bool = False) -> None:
        """Stop a child, if it is running, and forget it if it will not be started again.

        Args:
            child: whom.
            reason: why.
            final: whether it is for good.
            kill: whether to cancel it at once.
        """
        incarnation = child.incarnation
        if incarnation is not None and not incarnation.ended.is_set():
            self._report(ChildStopping(child.path, reason))
            await _end(incarnation, reason, 0 if kill else child.specification.shutdown, final=final)
        ending = self._take_note(child)
        if final or not restarts(child.restart, ending):
            self._forget(child)

    def _take_note(self, child: Child) -> Ending:
        """Notice that a child has ended, and report it if it failed."""
        incarnation, child.incarnation = child.incarnation, None
        ending = child.ending
        assert ending is not None, "it has ended"  # noqa: S101 - an invariant
        if incarnation is not None and isinstance(ending, Crashed):
            self._report(ChildFailed(child.path, incarnation.number, ending.error, incarnation.started))
        return ending

    def _forget(self, child: Child) -> None:
        if child in self._place.children:
            self._place.children.remove(child)
        child.conclude()


async def _end(incarnation: Incarnation, reason: str, seconds: float, *, final: bool) -> None:
    """Ask an incarnation to stop, and cancel it if it has not stopped in time."""
    if seconds > 0:
        incarnation.request_stop(reason, final=final)
        with trio.move_on_after(seconds):
            await incarnation.ended.wait()
            return
        reason = f"it had not stopped {seconds} s after it was asked to: {reason}"
    incarnation.cancel(reason)
    await incarnation.ended.wait()


def _start_error(child: Child) -> ActorStartError:
    error = ActorStartError(child.path, str(child.ending))
    error.__cause__ = child.ending.error if isinstance(child.ending, Crashed) else None
    return error
