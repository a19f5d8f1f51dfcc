from flujo_actors import RetryPolicy, UsageMeter, run_pipeline, step


@step(retry=RetryPolicy(max_attempts=3, backoff=0.01))
async def ask_model(question: str, *, usage: UsageMeter) -> str:
    usage.charge(cost_usd=0.02, prompt_tokens=12)  # counted at once, whatever happens next
    raise ConnectionError("the model does not answer")


result = run_pipeline(ask_model, "Why is the sky blue?")
print(result.status, "-", result.failure)
print(f"spent ${result.total_cost_usd} and {result.total_tokens} tokens")
