"""flujo_actors: an actor-model runtime for declarative pipelines, on trio's structured concurrency.

The layers, imports run downward only:

    cli, demos                          talk to people
    system, run                         assemble a run
    supervisors/*      storage/*        policies over messages | spans to disk
    actor, mailbox, messages, clock     the kernel of the actor model
    steps/*, context/*, results, spans, events, failures, usage, errors     plain data and pure functions
"""

from flujo_actors._version import __version__

# What is raised
from flujo_actors.errors import (
    ActorStoppedError,
    ContextError,
    FlujoError,
    InvalidPipelineError,
    Problem,
    RunFailedError,
    StepDefinitionError,
    StorageError,
)

# What comes back
from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.results import PipelineResult, StepResult

# Running it
from flujo_actors.run import Run
from flujo_actors.spans import Span, SpanStatus

# Describing a pipeline
from flujo_actors.steps import AnyStep, BaseStep, Pipeline, RetryPolicy, Step, step
from flujo_actors.system import System, open_system, run_pipeline
from flujo_actors.usage import Usage, UsageMeter

__all__ = [
    "ActorStoppedError",
    "AnyStep",
    "BaseStep",
    "ContextError",
    "Failure",
    "FailureDomain",
    "FlujoError",
    "InvalidPipelineError",
    "Pipeline",
    "PipelineResult",
    "Problem",
    "RetryPolicy",
    "Run",
    "RunFailedError",
    "Span",
    "SpanStatus",
    "Step",
    "StepDefinitionError",
    "StepResult",
    "StorageError",
    "System",
    "Usage",
    "UsageMeter",
    "__version__",
    "open_system",
    "run_pipeline",
    "step",
]
