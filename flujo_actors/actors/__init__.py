"""Users' own long-lived actors, under supervision as in OTP.

From the top down:

- `behaviour`, `messages`: what a user's actor is, and what is said to it;
- `spawning`, `references`: how it is started, and how others address it;
- `receiving`, `supervising`, `roots`: one life of an actor, of a supervisor; where a tree of them begins;
- `children`, `asking`, `reporting`: the place that stays when what lives in it crashes; questions; decisions told;
- `strategies`, `intensity`: what is done about a child that has ended, pure functions;
- `specifications`, `endings`, `events`: plain data.
"""

from flujo_actors.actors.asking import Reply
from flujo_actors.actors.behaviour import Behaviour
from flujo_actors.actors.children import ActorState
from flujo_actors.actors.endings import Crashed, Ending, Finished, Killed, ShutDown
from flujo_actors.actors.events import (
    ActorEvent,
    ChildFailed,
    ChildStarted,
    ChildStopped,
    ChildStopping,
    GivingUp,
    Restarting,
)
from flujo_actors.actors.messages import Message
from flujo_actors.actors.references import ActorRef, ActorStatistics
from flujo_actors.actors.spawning import SupervisorRef, SupervisorStatistics
from flujo_actors.actors.specifications import Restart, RestartStrategy, Supervision

__all__ = [  # noqa: RUF022 - grouped by what they are for
    # Writing an actor
    "Behaviour",
    "Message",
    "Reply",
    # Talking to it
    "ActorRef",
    "ActorState",
    "ActorStatistics",
    "SupervisorRef",
    "SupervisorStatistics",
    # Supervising it
    "Restart",
    "RestartStrategy",
    "Supervision",
    # How it ends
    "Crashed",
    "Ending",
    "Finished",
    "Killed",
    "ShutDown",
    # What supervisors report
    "ActorEvent",
    "ChildFailed",
    "ChildStarted",
    "ChildStopped",
    "ChildStopping",
    "GivingUp",
    "Restarting",
]
