"""A composite step of your own: run a step again on its own output, a fixed number of times."""

from typing import Any

import attrs
import trio

from flujo_actors import AnyStep, BaseStep, StepResult, open_system, step
from flujo_actors.supervisors import Children, Supervisor


@attrs.frozen(slots=False)
class Repeat(BaseStep[Any, Any, Any]):
    body: AnyStep
    times: int

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        return ((self.body.name, self.body),)


class RepeatSupervisor(Supervisor[Repeat]):
    async def supervise(self, children: Children, data: Any) -> StepResult:
        for number in range(1, self.step.times + 1):
            result = await children.run(f"{self.step.body.name}[{number}]", self.step.body, data, {"iteration": number})
            if result.failure is not None:
                return self.failed(result.failure)
            data = result.output
        return self.completed(data)


@step
def double(number: int) -> int:
    return number * 2


async def main() -> None:
    async with open_system(actors={Repeat: RepeatSupervisor}) as system:
        result = await system.run(Repeat("repeat", double, times=5), 1)
        print(result.unwrap(), [span.attributes["path"] for span in result.spans])


trio.run(main)
