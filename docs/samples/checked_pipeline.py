from flujo_actors import Pipeline, step


@step
def count(text: str) -> int:
    return len(text)


@step
def shout(text: str) -> str:
    return text.upper()


pipeline = Pipeline("odd", [count, shout, Pipeline("nothing", [])])
for problem in pipeline.check():
    print(problem)
print((shout >> count).to_mermaid(), end="")
