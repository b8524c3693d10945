"""Broken adapters: mistakes in what is asked, and whom."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import trio

from statemachine import AdapterBusyError, CallOptions, Message, StreamEvent

from .good import GoodAdapter
from .registry import breaks
from .server import Connection


@breaks("prompt-reaches-server", "the protocol has no system message, so it is left out")
class DropsSystem(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        return await super().ask([message for message in prompt if message["role"] != "system"], tools)


@breaks("prompt-reaches-server", "only the last message is sent")
class SendsLastOnly(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        return await super().ask(prompt[-1:], tools)


@breaks("prompt-reaches-server", "the results of tools are put in front of the calls that they answer")
class ReordersToolResults(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        results = [message for message in prompt[:-1] if message["role"] == "tool"]
        others = [message for message in prompt[:-1] if message["role"] != "tool"]
        return await super().ask([*results, *others, prompt[-1]], tools)


@breaks("prompt-reaches-server", "earlier tool calls have no text, so they are taken for empty messages")
class DropsToolCalls(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        return await super().ask([message for message in prompt if message["content"]], tools)


@breaks("prompt-reaches-server", "the system message is kept, and put into the first user's message, too")
class RepeatsSystem(GoodAdapter):
    async def ask(self, prompt: Sequence[Message], tools: bool) -> Connection:
        if len(prompt) > 1:
            first: Message = {"role": "user", "content": f"{prompt[0]['content']} {prompt[1]['content']}"}
            prompt = [prompt[0], first, *prompt[2:]]
        return await super().ask(prompt, tools)


@breaks("model-as-asked", "the model of the first adapter is kept for all of them")
class KeepsFirstModel(GoodAdapter):
    async def start(self) -> None:
        self.wanted = self.server.shared.setdefault("model", self.config.model_id)
        if self.instance is None:
            found = [name for name, model in (await self.server.instances()).items() if model == self.wanted]
            self.instance = found[0] if found else await self.load()

    async def load(self) -> str:
        asked = self.config
        self.config = type(asked)(asked.provider_name, self.wanted, asked.options)
        return await super().load()


@breaks("parallel-as-declared", "more calls than the server's default are refused at once")
class RefusesTheFourth(GoodAdapter):
    under_way = 0

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        if self.under_way > 2:
            yield StreamEvent("error", AdapterBusyError("all slots are in use"))
            return
        self.under_way += 1
        try:
            async with aclosing(super().call(prompt, options)) as events:
                async for event in events:
                    yield event
        finally:
            self.under_way -= 1


@breaks("parallel-as-declared", "a lock around the call, declared parallel all the same")
class OneAtATime(GoodAdapter):
    lock: trio.Lock | None = None

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncGenerator[StreamEvent, None]:
        self.lock = self.lock or trio.Lock()
        async with self.lock, aclosing(super().call(prompt, options)) as events:
            async for event in events:
                yield event
