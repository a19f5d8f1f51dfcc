"""The pipeline: read a text, shorten a summary of it until the critic is content, then the report.

    read >> shorten: pick_sentences and judge, round after round, else first_sentences >> write_report

What the critic wants is data, so the summariser need not be told in words; the context keeps it, round by round.
"""

from __future__ import annotations

from typing import Final, TypedDict

import attrs

from flujo_actors import RefinementCheck, refine_until, step
from flujo_actors.demos.files.finding import displayable, find_file
from flujo_actors.demos.files.reading import ReadingError
from flujo_actors.demos.files.steps import ONCE, in_thread
from flujo_actors.demos.summary.critic import Demand, demand_of
from flujo_actors.demos.summary.draft import Draft
from flujo_actors.demos.summary.report import Round, Summary, summary_of
from flujo_actors.demos.summary.source import Source, read_source
from flujo_actors.demos.summary.summariser import first_draft, opening, revised

MOST_ROUNDS: Final = 20


@attrs.define
class Revisions:
    """What the critic said, as far as the run has come."""

    rounds: list[Round] = attrs.Factory(list[Round])


@attrs.frozen
class Advice:
    """What the critic gives the summariser."""

    draft: Draft
    demand: Demand


class Request(TypedDict):
    """What `refine_until` asks of the summariser."""

    original_input: Source
    feedback: Advice | None
    """`None` in the first round."""


@step(retry=ONCE)
async def read(asked: str) -> Source:
    """Read the text, and find its sentences and what it speaks of."""
    file = await find_file(asked)
    try:
        source = await in_thread(read_source, file)
    except ReadingError as error:
        raise ReadingError(asked, error.problem) from error
    return attrs.evolve(source, name=displayable(asked))


@step
async def pick_sentences(request: Request) -> Draft:
    """Choose sentences of the text; after the first round, do what the critic demands."""
    advice = request["feedback"]
    if advice is None:
        return await in_thread(first_draft, request["original_input"])
    return await in_thread(revised, advice.draft, advice.demand)


@step
def judge(draft: Draft, *, context: Revisions) -> RefinementCheck:
    """Say whether a draft is good, and what to do next when it is not."""
    demand = demand_of(draft)
    context.rounds.append(Round.of(draft, demand))
    if demand is None:
        return RefinementCheck(is_complete=True)
    return RefinementCheck(is_complete=False, feedback=Advice(draft, demand))


@step
def first_sentences(source: Source) -> Draft:
    """The beginning of the text: what is left when the critic is never content."""
    return opening(source)


@step
def write_report(draft: Draft, *, context: Revisions) -> Summary:
    """Put the report together. What the critic said in vain is gone with the step that failed."""
    return summary_of(draft, context.rounds)


shorten: Final = refine_until("shorten", pick_sentences, judge, max_refinements=MOST_ROUNDS).with_fallback(
    first_sentences
)
"""From a `Source` to the `Draft` that the critic is content with."""

pipeline: Final = (read >> shorten >> write_report).named("summary")
"""From the path of a text file to a `Summary`."""
