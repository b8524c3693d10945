"""The adapter behind a ``ProviderManager``: agents share it, and every property of the manager is looked at after each step."""

from __future__ import annotations

from typing import Any

import trio

from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.errors import AdapterError, ProviderManagerError
from statemachine.manager.engine import ReasoningEngine
from statemachine.manager.manager import ProviderManager

from .asking import call_options, prompt_of
from .program import Agents, Call, Visit
from .subject import Subject
from .trace import CallRun, ProgramRun

__all__ = ["run_agents"]

LIMIT = 2


def _config(subject: Subject, patience: float) -> ProviderManagerConfig:
    kind: dict[str, Any] = {"limit": LIMIT}
    if subject.capabilities.local:
        kind = {"is_local": True, "parallel": subject.capabilities.parallel}
    provider = ProviderConfig("subject", subject.adapter, base_options=subject.options, **kind)
    return ProviderManagerConfig(
        [provider], on_conflict="wait", check_invariants=True, close_grace=1, acquire_timeout=patience
    )


async def run_agents(subject: Subject, run: ProgramRun, agents: Agents, patience: float) -> None:
    """Let all agents make their visits; note each, and what the manager says at its end."""
    try:
        async with ProviderManager(_config(subject, patience)) as manager:
            engine = ReasoningEngine(manager)
            async with trio.open_nursery() as nursery:
                for number, visits in enumerate(agents.agents):
                    nursery.start_soon(_visit, subject, run, engine, number, visits, patience)
    except* ProviderManagerError as group:
        run.manager_error = group.exceptions[0]
    if run.manager_error is None and (failed := manager.statistics().counters.shutdown_failures):
        run.manager_error = AdapterError(f"{failed} shutdown(s) failed or were overdue")


async def _visit(
    subject: Subject, run: ProgramRun, engine: ReasoningEngine, number: int, visits: tuple[Visit, ...], patience: float
) -> None:
    for place, visit in enumerate(visits):
        call = Call(words=visit.words, read=visit.read)
        answer = CallRun(call, prompt_of(100 * number + place, call))
        answer.model = subject.models[visit.model % len(subject.models)]
        run.visits.append(answer)
        options = call_options(subject, call, answer.model)
        with trio.move_on_after(patience) as guard:
            try:
                async with engine.call(answer.prompt, options) as stream:
                    async for event in stream:
                        answer.events.append(event)
                        if visit.read is not None and len(answer.events) >= visit.read:
                            answer.ended = "closed"
                            break
                    else:
                        answer.ended = "read"
            except AdapterError as error:
                answer.error, answer.ended = error, "read"
            except ProviderManagerError as error:
                answer.error, answer.ended = error, "read"
        answer.expected = subject.expected_text(answer.prompt)
        answer.heard = subject.heard(answer.prompt)
        if guard.cancelled_caught:
            answer.ended = "overdue"
