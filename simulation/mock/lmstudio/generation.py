"""One answer from the request to its last byte: find or load the model, make the pieces, write them, and end as it must."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from random import Random
from typing import Final

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..engine.engine import LoadFailedError, Progress
from ..engine.instance import CutError, Job, Piece, ServerInstance
from ..faults import BrokenStream
from ..http import ClientGoneError, EventStream, frame, json_response, wait_gone
from . import errors
from .ask import Ask
from .catalogue import DownloadedModel
from .conversations import StoredConversations
from .engine import LMStudioEngine
from .plan import plan_answer
from .writer import AnswerInProgress, Dialect, Writer

__all__ = ["Generation", "Generations"]


class Generations:
    """Makes the answers of one server, each with an id of its own."""

    def __init__(self, server: LMStudioEngine, stored: StoredConversations) -> None:
        self.server: Final = server
        self.stored: Final = stored
        self._numbers = count(1)

    def random(self) -> Random:
        """Return the source of the ids of the next answer."""
        return Random(repr((self.server.profile.seed, next(self._numbers))))

    def answer(self, ask: Ask, dialect: Dialect) -> Response:
        """Return the response to ``ask``. Its body is made when it is sent."""
        return Generation(self, ask, dialect)


class Generation(Response):
    """Streams, or sends one body; a client that goes away ends it. Takes the engine's pieces, as its ``Sink``."""

    def __init__(self, made_by: Generations, ask: Ask, dialect: Dialect) -> None:
        super().__init__()
        self._server = made_by.server
        self._made_by = made_by
        self._ask = ask
        self._dialect = dialect
        self._job: Job | None = None
        self._gone = False
        self._begun = False
        self._chunks = 0
        self.reading: Progress | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of ``scope``."""
        self._stream = EventStream(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._leave_with_client, receive)
            response = await self._answer()
            if response is not None:
                await response(scope, receive, send)
            nursery.cancel_scope.cancel()

    async def _leave_with_client(self, receive: Receive) -> None:
        await wait_gone(receive)
        self._gone = True
        if self._job is not None:
            self._job.leave()

    async def _answer(self) -> Response | None:
        """Make the answer. Returns it where it is not streamed; so is what refuses it."""
        counters = self._server.counters
        try:
            return await self._make()
        except errors.Refusal as refusal:
            return await self._refuse(refusal)
        except CutError as error:
            counters.cut += 1
            status = self._server.settings.crash_status if error.crashed else 400
            return await self._refuse(errors.engine_error(str(error), status))
        except ClientGoneError:
            counters.abandoned += 1
            return None

    async def _make(self) -> Response | None:
        found = self._server.locate(self._ask.model)
        if isinstance(found, DownloadedModel) and (self._ask.context_length or 0) > found.max_context_length:
            raise errors.invalid_type("context_length", f"at most {found.max_context_length}")
        self._writer = self._new_writer(found)
        answer = self._writer.answer
        if self._ask.stream and self._writer.opens_early:
            self.reading = self._tell_reading
            await self._begin()
        instance = found if isinstance(found, ServerInstance) else await self._load(found)
        answer.model, answer.spec = instance.id, self._server.spec(instance)
        answer.context_length = instance.config["context_length"]
        answer.plan = plan_answer(self._ask, answer.spec, await self._room(answer), self._server.profile.seed)
        self._fault = self._server.faults.take_stream() if self._ask.stream else None
        if not await self._server.generate(instance, self._new_job(answer), self):
            return None
        self._server.counters.answered += 1
        return await self._finish()

    def _new_writer(self, found: ServerInstance | DownloadedModel) -> Writer:
        server = self._server
        model, spec = (found.id, server.spec(found)) if isinstance(found, ServerInstance) else (found.key, found)
        answer = AnswerInProgress(
            ask=self._ask,
            settings=server.settings,
            model=model,
            spec=spec,
            created=int(server.unix_time()),
            began=trio.current_time(),
            random=self._made_by.random(),
        )
        return self._dialect.writer(answer)

    def _new_job(self, answer: AnswerInProgress) -> Job:
        pace = self._server.profile.pace("answer", answer.spec.key, self._ask.prompt)
        leaves = not self._server.settings.stubborn_prefill
        self._job = Job(self._ask.prompt_tokens, answer.plan.pieces, pace, leaves_prefill=leaves)
        if self._gone:
            self._job.leave()
        return self._job

    async def _load(self, model: DownloadedModel) -> ServerInstance:
        ask, settings = self._ask, self._server.settings
        config = {} if ask.context_length is None else {"context_length": ask.context_length}
        ttl = settings.default_ttl if ask.ttl is None else ask.ttl
        progress = self._tell_loading if self._begun else None
        try:
            instance = await self._server.jit.load(model, config, ttl=ttl, progress=progress)
        except LoadFailedError as error:
            raise errors.jit_load_failed(ask.model, str(error)) from error
        self._writer.answer.load_seconds = instance.load_seconds
        if self._begun:
            await self._stream.send(self._writer.loaded())
        return instance

    async def _room(self, answer: AnswerInProgress) -> int:
        """Return the tokens that the prompt leaves. Where it does not fit, a stream has begun when the real server finds out."""
        room = answer.context_length - self._ask.prompt_tokens
        if room > 0:
            return room
        if self._ask.stream:
            if self._server.settings.swallow_overflow:
                return 0
            await self._stream.start()
        raise errors.context_overflow(self._ask.prompt_tokens, answer.context_length)

    # ---- what is sent ----

    async def add(self, pieces: Sequence[Piece]) -> bool:
        """Send the next pieces, or keep them for the one body; False where the answer has broken, as ordered."""
        self._writer.answer.take(pieces, trio.current_time())
        if self._ask.stream:
            if await self._breaks():
                return False
            await self._begin()
            await self._stream.send(self._writer.add(pieces))
            self._chunks += 1
        return True

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._stream.send(self._writer.begin())

    async def _finish(self) -> Response | None:
        if self._ask.store:
            self._made_by.stored.keep(self._writer.answer)
        if not self._ask.stream:
            return json_response(200, self._writer.whole(), indent=self._indent)
        if not await self._breaks():
            await self._begin()
            await self._stream.send(self._writer.end())
            await self._stream.end()
        return None

    async def _refuse(self, refusal: errors.Refusal) -> Response | None:
        """Refuse by an answer of its own, or inside the stream that has begun."""
        refusal = self._dialect.refusal(refusal)
        if not self._stream.started:
            return json_response(refusal.status, refusal.body, indent=self._indent)
        await self._stream.send(self._writer.error(refusal))
        await self._stream.end()
        return None

    async def _tell_loading(self, progress: float) -> None:
        await self._stream.send(self._writer.loading(progress))

    async def _tell_reading(self, progress: float) -> None:
        await self._stream.send(self._writer.reading(progress))

    @property
    def _indent(self) -> int | None:
        return self._server.settings.indent if self._dialect.pretty else None

    # ---- what goes wrong ----

    async def _breaks(self) -> bool:
        """Go wrong here, if that is ordered; True where nothing more is to be sent."""
        fault = self._fault
        if fault is None or fault.after_chunks != self._chunks:
            return False
        await self._stream.start()
        await self._break(fault)
        return True

    async def _break(self, fault: BrokenStream) -> None:
        assert self._job is not None, "an answer that breaks has begun"
        if fault.how == "stall":
            await self._job.wait(trio.sleep_forever)
        if fault.how == "crash":
            instance = self._server.resident[self._writer.answer.model]
            self._server.crash(instance, fault.message)
            await self._job.wait(trio.sleep_forever)
        error = errors.engine_error(fault.message)
        if fault.how == "error":
            await self._stream.send(self._writer.error(self._dialect.refusal(error)))
        elif fault.how == "named_error":
            await self._stream.send([frame(error.body["error"], event="error")])
        if fault.how != "drop":
            await self._stream.end()
