"""The actors of steps, and the policies that they apply.

registry      which actor runs which kind of step; users add their own
step_actor    one attempt of one step: a `Start` in, exactly one report out
leaf          `Step`: calls the agent
supervisor    a step actor with children
sequence      `Pipeline`
loop          `LoopStep`
refinement    `refine_until`
rounds        what those two have in common
conditional   `ConditionalStep`
parallel      `ParallelStep`
router        `DynamicParallelRouterStep`
mapping       `MapStep`
caching       `CacheStep`
streaming     what a streaming agent yields
phases        what a leaf does around its agent
asking        calling what a user gave a composite step
fallback      what a step amounts to when its fallback has run
recording     spans and results of children
children      spawning, retrying and recording children
decisions     what to do about a failed child, as pure functions
root          the supervisor of a whole run
place         where a step stands in its run
walking       looking at the actors alive, and cancelling some
nesting       runs that an agent of another run starts
environment   what all actors of a run share
"""

from typing import Final

from flujo_actors.steps import (
    CacheStep,
    ConditionalStep,
    DynamicParallelRouterStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RefinementStep,
    Step,
)
from flujo_actors.supervisors.caching import CacheSupervisor
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.conditional import ConditionalSupervisor
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.leaf import LeafActor
from flujo_actors.supervisors.loop import LoopSupervisor
from flujo_actors.supervisors.mapping import MapSupervisor
from flujo_actors.supervisors.parallel import ParallelSupervisor
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.refinement import RefinementSupervisor
from flujo_actors.supervisors.registry import ActorRegistry, UnknownStepError
from flujo_actors.supervisors.root import RootSupervisor
from flujo_actors.supervisors.router import RouterSupervisor
from flujo_actors.supervisors.sequence import SequenceSupervisor
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.supervisors.supervisor import Supervisor

DEFAULT_ACTORS: Final = ActorRegistry(
    {
        Step: LeafActor,
        Pipeline: SequenceSupervisor,
        LoopStep: LoopSupervisor,
        MapStep: MapSupervisor,
        RefinementStep: RefinementSupervisor,
        ConditionalStep: ConditionalSupervisor,
        ParallelStep: ParallelSupervisor,
        DynamicParallelRouterStep: RouterSupervisor,
        CacheStep: CacheSupervisor,
    }
)
"""The actors of the steps that come with the library."""

__all__ = [
    "DEFAULT_ACTORS",
    "ActorRegistry",
    "CacheSupervisor",
    "Children",
    "ConditionalSupervisor",
    "LeafActor",
    "LoopSupervisor",
    "MapSupervisor",
    "ParallelSupervisor",
    "Place",
    "RefinementSupervisor",
    "RootSupervisor",
    "RouterSupervisor",
    "RunEnvironment",
    "SequenceSupervisor",
    "StepActor",
    "Supervisor",
    "UnknownStepError",
]
