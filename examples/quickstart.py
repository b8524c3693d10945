import trio

from adapters import FakeAdapter  # LMStudioAdapter is used in the same way
from statemachine import CallOptions, ProviderConfig, ProviderManager, ProviderManagerConfig, ReasoningEngine
from statemachine import RuntimeProviderConfig as Model


async def agent(engine: ReasoningEngine, name: str, model: str) -> None:
    options = CallOptions(Model("local", model), agent=name)
    async with engine.call([{"role": "user", "content": f"hello from {name}"}], options) as stream:
        words = [event.data async for event in stream if event.type == "token"]
    print(f"{name} on {model}: {words}, waited {stream.lease.queued_seconds + stream.lease.loading_seconds:.1f} s")


async def main() -> None:
    local = ProviderConfig("local", FakeAdapter, is_local=True, base_options={"load_seconds": 0.3})
    async with ProviderManager(ProviderManagerConfig([local], on_conflict="wait")) as manager:
        async with trio.open_nursery() as agents:
            for name, model in ("ann", "small"), ("bob", "large"), ("cat", "small"):
                agents.start_soon(agent, ReasoningEngine(manager), name, model)
        print(manager.statistics().counters)


if __name__ == "__main__":
    trio.run(main)
