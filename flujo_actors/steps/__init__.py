"""The declarative shell: steps and pipelines as frozen data.

pipeline    `BaseStep`, what all steps have in common, and `Pipeline`, steps in sequence
leaf        `Step` and `@step`: one call of an agent
agents      what may be an agent, and what is handed to it
retry       `RetryPolicy`
checking    `check`: everything that is wrong, before a run
mermaid     `to_mermaid`
"""

from flujo_actors.steps.caching import CacheStep
from flujo_actors.steps.conditional import ConditionalStep
from flujo_actors.steps.leaf import Step, step
from flujo_actors.steps.loop import LoopStep
from flujo_actors.steps.mapping import MapStep
from flujo_actors.steps.outcomes import PluginOutcome, RefinementCheck, ValidationResult
from flujo_actors.steps.parallel import BranchFailureStrategy, DynamicParallelRouterStep, ParallelStep
from flujo_actors.steps.pipeline import AnyStep, BaseStep, Pipeline
from flujo_actors.steps.refinement import RefinementStep, refine_until
from flujo_actors.steps.retry import RetryPolicy

__all__ = [
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
    "ValidationResult",
    "refine_until",
    "step",
]
