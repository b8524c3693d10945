"""The workflow of an agent: its thread names the provider, it plans, executes and synthesises; then the thread changes its provider."""

import trio

from adapters import FakeAdapter
from statemachine import (
    InstanceConfig,
    ProviderConfig,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    create_instance,
)


async def main() -> None:
    providers = ProviderManagerConfig(
        [
            ProviderConfig("cloud", FakeAdapter, limit=2, base_options={"api_token": "kept-out-of-every-output"}),
            ProviderConfig("local", FakeAdapter, is_local=True),
        ]
    )
    async with create_instance(InstanceConfig(providers)) as instance:
        agent = instance.agent("researcher")
        for provider, model in ("cloud", "big"), ("local", "small"):
            chosen = RuntimeProviderConfig(provider, model)
            await instance.state.set_thread_config_value("thread-1", "runtime_provider_config", chosen)
            async with agent.process("What is a lease?", "thread-1") as answer:
                text = "".join([str(event.data) async for event in answer if event.type == "token"])
            print(f"{provider}/{model}: {text}")
        for name, usage in instance.manager.statistics().models.items():
            print(f"{name}: {usage.calls} calls")


if __name__ == "__main__":
    trio.run(main)
