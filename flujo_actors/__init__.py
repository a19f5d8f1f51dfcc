"""flujo_actors: an actor-model runtime for declarative pipelines, on trio's structured concurrency.

The layers, imports run downward only:

    cli, demos, testing, telemetry      talk to people | to tests | to OpenTelemetry
    control                             lets other processes see and stop runs
    system, run                         assemble a run
    supervisors/*  storage/*  actors/*  policies over messages | spans to disk | users' own actors
    actor, mailbox, messages, clock     the kernel of the actor model
    lens/*, exports/*                   read traces: pure functions over what storage gives
    steps/*, context/*, results, spans, events, observers, failures, limits, usage, errors   plain data, pure functions
"""

from flujo_actors._version import __version__
from flujo_actors.actors import (
    ActorRef,
    Behaviour,
    Message,
    Reply,
    Restart,
    RestartStrategy,
    Supervision,
    SupervisorRef,
)
from flujo_actors.caching import CacheStatistics, ResultCache
from flujo_actors.context import ContextList, ContextMap, Log, MergeStrategy, Origin
from flujo_actors.errors import (
    ActorCrashedError,
    ActorDefinitionError,
    ActorStartError,
    ActorStoppedError,
    AskError,
    AskTimeoutError,
    AskUnansweredError,
    ContextError,
    DatabaseUnusableError,
    FlujoError,
    InvalidPipelineError,
    MergeConflictError,
    Problem,
    RestartIntensityError,
    RunFailedError,
    StepDefinitionError,
    StorageError,
    SystemClosedError,
    UsageLimitExceededError,
    WrongLoopError,
)
from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.limits import UsageLimits
from flujo_actors.results import PipelineResult, StepResult
from flujo_actors.run import Run, RunAbortedError
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.steps import (
    AnyStep,
    BaseStep,
    BranchFailureStrategy,
    CacheStep,
    ConditionalStep,
    DynamicParallelRouterStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    PluginOutcome,
    RefinementCheck,
    RefinementStep,
    RetryPolicy,
    Step,
    ValidationResult,
    refine_until,
    step,
)
from flujo_actors.storage.policy import StorageFailurePolicy
from flujo_actors.system import System, open_system, run_pipeline
from flujo_actors.usage import Usage, UsageMeter

__all__ = [  # noqa: RUF022 - grouped by what they are for
    # Describing a pipeline
    "AnyStep",
    "BaseStep",
    "BranchFailureStrategy",
    "CacheStep",
    "ConditionalStep",
    "DynamicParallelRouterStep",
    "LoopStep",
    "MapStep",
    "ParallelStep",
    "Pipeline",
    "PluginOutcome",
    "RefinementCheck",
    "RefinementStep",
    "RetryPolicy",
    "Step",
    "UsageLimits",
    "ValidationResult",
    "refine_until",
    "step",
    # The context of a run
    "ContextList",
    "ContextMap",
    "Log",
    "MergeStrategy",
    "Origin",
    # Running it
    "CacheStatistics",
    "ResultCache",
    "Run",
    "StorageFailurePolicy",
    "System",
    "open_system",
    "run_pipeline",
    # Actors of your own
    "ActorRef",
    "Behaviour",
    "Message",
    "Reply",
    "Restart",
    "RestartStrategy",
    "Supervision",
    "SupervisorRef",
    # What comes back
    "Failure",
    "FailureDomain",
    "PipelineResult",
    "Span",
    "SpanStatus",
    "StepResult",
    "Usage",
    "UsageMeter",
    # What is raised
    "ActorCrashedError",
    "ActorDefinitionError",
    "ActorStartError",
    "ActorStoppedError",
    "AskError",
    "AskTimeoutError",
    "AskUnansweredError",
    "ContextError",
    "DatabaseUnusableError",
    "FlujoError",
    "InvalidPipelineError",
    "MergeConflictError",
    "Problem",
    "RestartIntensityError",
    "RunAbortedError",
    "RunFailedError",
    "StepDefinitionError",
    "StorageError",
    "SystemClosedError",
    "UsageLimitExceededError",
    "WrongLoopError",
    # The version
    "__version__",
]
