"""promptchain's ``ModelManager``, asked to keep one model of LM Studio resident: ``python -m benchmarks.peers.promptchain``."""

from __future__ import annotations

from promptchain import Endpoint, ModelManager

from benchmarks.field.play import Call, play, read_plan


def main() -> None:
    """Play the plan as its README has it: ``with manager.use(model) as bound: bound.stream(...)``."""
    plan = read_plan()
    manager = ModelManager(policy="auto", max_resident=1)
    for model in {call.model for call in plan.calls}:
        manager.register(model, Endpoint("lmstudio", model, base_url=plan.url))

    def answer(call: Call) -> str:
        with manager.use(call.model) as bound:
            return str(bound.complete(user_message=call.prompt, max_tokens=call.output_tokens))

    play(plan, answer)


if __name__ == "__main__":
    main()
