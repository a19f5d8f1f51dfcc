"""What storage owes to runs: what waits to be stored, and what is missing for good.

The storage actor keeps one `Ledger`, in the trio thread. While the storage works, what waits is what has come in since
the last batch. Once it has failed, what comes is kept, up to `SPANS_KEPT` spans and `ENDED_RUNS_KEPT` ended runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Final

import attrs

from flujo_actors.storage.accounts import FORGOTTEN, RunAccount
from flujo_actors.storage.inbox import RunEnded, RunStarted, StorageMessage
from flujo_actors.storage.parts import Part
from flujo_actors.storage.writing import Outcome, says_that_nothing_can_be_stored

LOGGER: Final = logging.getLogger(__name__)

SPANS_KEPT: Final = 16_384
"""Spans of all runs together that are kept while they cannot be stored. What exceeds it is missing in the traces."""

ENDED_RUNS_KEPT: Final = 1_024
"""Runs that have ended, and are kept while they cannot be stored."""


@attrs.define(eq=False)
class Ledger:
    """The accounts of the runs of one system."""

    failure: Exception | None = None
    """Why nothing can be stored; `None` while the storage works."""
    is_closing: bool = False
    """Whether nothing more comes."""
    _accounts: dict[str, RunAccount] = attrs.field(factory=dict[str, RunAccount], init=False)
    _is_announced: bool = attrs.field(default=False, init=False)
    """Whether the user was told that the storage has failed, and not yet that all is stored again."""

    def take(self, messages: Iterable[StorageMessage]) -> None:
        """Enter what runs have sent."""
        for message in messages:
            if type(message) is tuple:
                run_id, span = message
                self._accounts[run_id].waiting.append(span)
            elif type(message) is RunStarted:
                self._open(message)
            elif type(message) is RunEnded:
                self._close(message)
            else:
                self.is_closing = True
        if self.failure is not None:
            self._keep_within_bounds()

    def take_probe(self, at_most: int) -> list[Part]:
        """What is to be tried next, after a failure: a single span, unless the failure may have been one run's only."""
        certain = self.failure is not None and says_that_nothing_can_be_stored(self.failure)
        return self.take_parts(1 if certain else at_most)

    def take_parts(self, at_most: int) -> list[Part]:
        """What is to be stored next, `at_most` spans of it; none when nothing waits. It is not owed until `settle`."""
        parts: list[Part] = []
        for account in self._accounts.values():
            part = account.take_part(at_most)
            if part is not None:
                parts.append(part)
                at_most -= len(part.spans)
            if at_most <= 0:
                break
        return parts

    def settle(self, outcome: Outcome) -> None:
        """Enter what has become of the parts that were taken."""
        for part in outcome.written:
            self._note_stored(part)
        for part, error in outcome.refused:
            self._note_refused(part, str(error), for_good=outcome.failure is None)
        tried = self._tried_in_vain(outcome)
        if outcome.failure is None:
            self._note_success()
        else:
            self._note_failure(outcome.failure)
        for account in list(self._accounts.values()):
            self._settle_account(account, was_tried=account.run_id in tried)

    def give_up(self) -> None:
        """Nothing will be stored any more: whoever has not been told what is missing is told now."""
        reason = self.failure or "storing was stopped"
        if self._accounts:
            spans = sum(len(account.waiting) for account in self._accounts.values())
            LOGGER.warning("closed with %d runs and %d spans not stored: %s", len(self._accounts), spans, reason)
        for account in self._accounts.values():
            account.drop_everything(f"could not be stored: {reason}")
            account.tell()
        self._accounts.clear()

    def _open(self, message: RunStarted) -> None:
        self._accounts[message.run.run_id] = RunAccount(message)
        if self.failure is not None:
            message.on_failure(str(self.failure))

    def _close(self, message: RunEnded) -> None:
        account = self._accounts.get(message.run.run_id)
        if account is None:  # it had ended, and been stored, otherwise
            account = RunAccount(RunStarted(message.run), start_is_due=False, has_begun=True)
            self._accounts[account.run_id] = account
        account.close(message)

    def _keep_within_bounds(self) -> None:
        """Drop what came last of the runs that have the most waiting."""
        excess = sum(len(account.waiting) for account in self._accounts.values()) - SPANS_KEPT
        while excess > 0:
            fullest = max(self._accounts.values(), key=lambda account: len(account.waiting))
            count = min(excess, len(fullest.waiting))
            fullest.drop_last(count, f"could not be stored, nor kept beside {SPANS_KEPT} others: {self.failure}")
            excess -= count

    def _note_stored(self, part: Part) -> None:
        account = self._accounts[part.run.run_id]
        account.note_stored(part)
        if part.was_forgotten:
            LOGGER.warning("run %s: what was stored of it is lost: %s", account.run_id, FORGOTTEN)
            account.started.on_failure(FORGOTTEN)

    def _note_refused(self, part: Part, reason: str, *, for_good: bool) -> None:
        # Who was refused comes last the next time, so that it cannot keep the others from being tried.
        account = self._accounts.pop(part.run.run_id)
        self._accounts[part.run.run_id] = account
        if for_good:
            if account.note_refused(part, f"could not be stored: {reason}"):
                LOGGER.warning("run %s: a part of it could not be stored: %s", account.run_id, reason)
            account.started.on_failure(reason)
        else:
            account.note_failed(part)

    def _note_failure(self, error: Exception) -> None:
        if not self._is_announced:
            self._is_announced = True
            LOGGER.warning(
                "storage has failed: %s; runs do not wait for it, up to %d spans are kept until it works again",
                error,
                SPANS_KEPT,
            )
        self.failure = error
        for account in self._accounts.values():
            account.started.on_failure(str(error))

    def _note_success(self) -> None:
        self.failure = None
        if self._is_announced and not any(account.waiting for account in self._accounts.values()):
            self._is_announced = False
            LOGGER.warning("storage works again; what was kept is stored")

    def _tried_in_vain(self, outcome: Outcome) -> Collection[str]:
        """The runs of which it is known now that their end cannot be stored at present."""
        if outcome.failure is not None and says_that_nothing_can_be_stored(outcome.failure):
            return self._accounts.keys()
        # One run may have been refused for what it is: the others are tried before they are told anything.
        return {part.run.run_id for part, _ in outcome.refused if part.end is not None}

    def _settle_account(self, account: RunAccount, *, was_tried: bool) -> None:
        if account.is_closed:
            account.tell()
            del self._accounts[account.run_id]
        elif self.failure is not None and was_tried and account.ended is not None and not account.is_told:
            self._tell_of_failure(account)

    def _tell_of_failure(self, account: RunAccount) -> None:
        if sum(account.is_told for account in self._accounts.values()) < ENDED_RUNS_KEPT:
            account.tell(f"could not be stored: {self.failure}; it is kept, to be stored if that works again in time")
            return
        account.drop_everything(f"could not be stored, nor kept beside {ENDED_RUNS_KEPT} runs: {self.failure}")
        account.tell()
        del self._accounts[account.run_id]
