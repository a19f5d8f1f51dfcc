"""The declarative shell: steps and pipelines as frozen data.

pipeline    `BaseStep`, what all steps have in common, and `Pipeline`, steps in sequence
leaf        `Step` and `@step`: one call of an agent
agents      what may be an agent, and what is handed to it
retry       `RetryPolicy`
checking    `check`: everything that is wrong, before a run
mermaid     `to_mermaid`
"""

from flujo_actors.steps.leaf import Step, step
from flujo_actors.steps.pipeline import AnyStep, BaseStep, Pipeline
from flujo_actors.steps.retry import RetryPolicy

__all__ = ["AnyStep", "BaseStep", "Pipeline", "RetryPolicy", "Step", "step"]
