"""An adapter of one's own, and an observer that prints every state change. Start and shutdown are optional."""

from collections.abc import AsyncIterator, Sequence

import trio

from statemachine import (
    AdapterConfig,
    CallOptions,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ReasoningEngine,
    RuntimeProviderConfig,
    StreamEvent,
    Transition,
)


class ShoutingAdapter:
    def __init__(self, config: AdapterConfig) -> None:
        self.mark = "!" * int(config.options.get("loudness", 1))

    async def start(self) -> None:
        await trio.sleep(0.1)  # load the model

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        yield StreamEvent("token", str(prompt[-1]["content"]).upper() + self.mark)
        yield StreamEvent("end", "stop")

    async def shutdown(self) -> None:
        await trio.sleep(0.1)  # unload it


def show(change: Transition) -> None:
    print(f"{change.machine} {change.subject}: {change.source} --{change.trigger}-> {change.dest}")


async def main() -> None:
    config = ProviderManagerConfig([ProviderConfig("shouter", ShoutingAdapter, is_local=True)])
    async with ProviderManager(config, observers=[show]) as manager:
        wish = CallOptions(RuntimeProviderConfig("shouter", "loud-1b", {"loudness": 3}))
        async with ReasoningEngine(manager).call([{"role": "user", "content": "hello"}], wish) as stream:
            async for event in stream:
                print(event)


if __name__ == "__main__":
    trio.run(main)
