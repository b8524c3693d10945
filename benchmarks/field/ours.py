"""Our manager, from plain threads: ``python -m benchmarks.field.ours``. The policy comes with the plan."""

from __future__ import annotations

from typing import Final

from adapters import LlamaCppAdapter, LMStudioAdapter
from statemachine import (
    CallOptions,
    ProviderConfig,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    SyncProviderManager,
    SyncReasoningEngine,
)

from .play import Call, play, read_plan

ADAPTERS: Final[dict[str, type[LMStudioAdapter] | type[LlamaCppAdapter]]] = {
    "lmstudio": LMStudioAdapter,
    "llamacpp": LlamaCppAdapter,
}


def main() -> None:
    """Play the plan."""
    plan = read_plan()
    provider = ProviderConfig(
        "server", ADAPTERS[plan.server], is_local=True, parallel=plan.parallel, base_options={"base_url": plan.url}
    )
    config = ProviderManagerConfig([provider], on_conflict="wait", policy=plan.settings["policy"])
    with SyncProviderManager(config) as manager:
        engine = SyncReasoningEngine(manager)

        def answer(call: Call) -> str:
            model = RuntimeProviderConfig("server", call.model)
            options = CallOptions(
                model, agent=call.agent, parameters={"max_tokens": call.output_tokens, **plan.parameters}
            )
            with engine.call([{"role": "user", "content": call.prompt}], options) as events:
                return "".join(str(event.data) for event in events if event.type == "token")

        play(plan, answer)


if __name__ == "__main__":
    main()
