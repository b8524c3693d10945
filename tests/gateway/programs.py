"""Programs that were not written for the gateway: official clients and agent frameworks, which find their server in the environment.

``llm-slots run --agent NAME -- python -m tests.gateway.programs NAME MODEL...`` asks each model once and prints a line per answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Final

__all__ = ["PROGRAMS", "main"]

Program = Callable[[str], str]
QUESTION: Final = "What is the weather like?"
TOKENS: Final = 20


def openai_chat(model: str) -> str:
    """``openai``: a streamed chat."""
    import openai

    chunks = openai.OpenAI(max_retries=0).chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], stream=True, max_tokens=TOKENS
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def openai_responses(model: str) -> str:
    """``openai``: a response."""
    import openai

    response = openai.OpenAI(max_retries=0).responses.create(model=model, input=QUESTION, max_output_tokens=TOKENS)
    return response.output_text


def anthropic_message(model: str) -> str:
    """``anthropic``: a streamed message."""
    import anthropic

    question: anthropic.types.MessageParam = {"role": "user", "content": QUESTION}
    client = anthropic.Anthropic(max_retries=0)
    with client.messages.stream(model=model, max_tokens=TOKENS, messages=[question]) as stream:
        return "".join(stream.text_stream)


def pydantic_ai(model: str) -> str:
    """``pydantic-ai``: an agent's run."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.settings import ModelSettings

    run = Agent(OpenAIChatModel(model)).run(QUESTION, model_settings=ModelSettings(max_tokens=TOKENS))
    return str(asyncio.run(run).output)


def langchain(model: str) -> str:
    """``langchain-openai``: a streamed chat."""
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=model, max_retries=0, max_completion_tokens=TOKENS)
    return "".join(str(chunk.content) for chunk in chat.stream(QUESTION))


def openai_agents(model: str) -> str:
    """``openai-agents``: an agent's run, over chats: an incomplete response is an error to it, and these answers are cut."""
    from agents import Agent, ModelSettings, Runner, set_default_openai_api, set_tracing_disabled

    set_tracing_disabled(True)
    set_default_openai_api("chat_completions")
    agent = Agent(name="weather", model=model, model_settings=ModelSettings(max_tokens=TOKENS))
    return str(Runner.run_sync(agent, QUESTION).final_output)


def _present(*programs: tuple[str, Program]) -> Mapping[str, Program]:
    return {program.__name__: program for library, program in programs if find_spec(library) is not None}


PROGRAMS: Final = _present(
    ("openai", openai_chat),
    ("openai", openai_responses),
    ("anthropic", anthropic_message),
    ("pydantic_ai", pydantic_ai),
    ("langchain_openai", langchain),
    ("agents", openai_agents),
)
"""Those whose library is installed: the last three come with the extras ``clients`` and ``frameworks``."""


def main(name: str, models: Sequence[str]) -> None:
    """Ask each model in turn."""
    for model in models:
        print(repr(PROGRAMS[name](model)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
