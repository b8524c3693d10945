"""``/v1/completions``, and ``/api/v0/completions`` with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..engine.instance import Piece
from ..http import Body, frame
from . import errors
from .ask import Ask, Turn, prompt_tokens
from .conversations import StoredConversations
from .fields import Fields
from .openai_chat import MOST_CHOICES, figures, made_up_logprobs, sampling, usage
from .writer import AnswerInProgress, Dialect, Writer, runs

__all__ = ["COMPLETION", "COMPLETION_V0", "parse_completion"]


def parse_completion(fields: Fields, headers: Mapping[str, str], stored: StoredConversations) -> Ask:
    """Parse a completion; several prompts are several choices. Raises Refusal."""
    model = fields.required_string("model")
    fields.required("prompt")
    prompts = fields.strings("prompt", most=MOST_CHOICES)
    turns = tuple(Turn("user", prompt) for prompt in prompts)
    common = sampling(fields)
    common["choices"] *= max(len(prompts), 1)
    if common["choices"] > MOST_CHOICES:
        raise errors.invalid_type("n", f"such that there are at most {MOST_CHOICES} choices")
    return Ask(
        model=model,
        turns=turns,
        prompt_tokens=prompt_tokens(turns, headers),
        most_tokens=fields.tokens("max_tokens"),
        reasons=False,
        logprobs=fields.integer("logprobs", 0, 20),
        **common,
    )


class CompletionWriter(Writer):
    """One choice after the other."""

    def __init__(self, answer: AnswerInProgress) -> None:
        super().__init__(answer)
        answer.id = answer.new_id("cmpl-", 21)
        self._offsets = [0] * answer.ask.choices

    def add(self, pieces: Sequence[Piece]) -> list[bytes]:
        """Return one chunk for what belongs to one choice."""
        return [self._chunk([self._choice(run.choice, run.texts)]) for run in runs(pieces)]

    def end(self) -> list[bytes]:
        """Return the closing chunk of each choice, the usage where it is asked for, and the end mark."""
        endings = enumerate(self.answer.plan.endings)
        frames = [self._chunk([self._choice(number, (), ending.finish_reason)]) for number, ending in endings]
        if self.answer.ask.include_usage:
            frames.append(frame({**self._head(), "choices": [], "usage": usage(self.answer), **self._figures()}))
        return [*frames, frame("[DONE]")]

    def whole(self) -> Body:
        """Return a text_completion."""
        choices = []
        for number, ending in enumerate(self.answer.plan.endings):
            texts = tuple(piece.text for piece in self.answer.made if piece.choice == number)
            choices.append(self._choice(number, texts, ending.finish_reason))
        return {**self._head(), "choices": choices, "usage": usage(self.answer), **self._figures()}

    def _figures(self) -> Body:
        return {}

    def _head(self) -> Body:
        answer = self.answer
        return {"id": answer.id, "object": "text_completion", "created": answer.created, "model": answer.model}

    def _chunk(self, choices: list[Body]) -> bytes:
        return frame({**self._head(), "choices": choices})

    def _choice(self, number: int, texts: Sequence[str], finish_reason: str | None = None) -> Body:
        logprobs = self._logprobs(number, texts) if texts and self.answer.ask.logprobs is not None else None
        return {"index": number, "text": "".join(texts), "logprobs": logprobs, "finish_reason": finish_reason}

    def _logprobs(self, number: int, texts: Sequence[str]) -> Body:
        most = self.answer.ask.logprobs or 0
        ranked = [made_up_logprobs(text, max(most, 1)) for text in texts]
        offsets = []
        for text in texts:
            offsets.append(self._offsets[number])
            self._offsets[number] += len(text)
        return {
            "tokens": list(texts),
            "token_logprobs": [round(words[0][1], 6) for words in ranked],
            "top_logprobs": [{word: round(value, 6) for word, value in words[:most]} for words in ranked],
            "text_offset": offsets,
        }


class CompletionV0Writer(CompletionWriter):
    """The same with figures of speed."""

    def _figures(self) -> Body:
        return figures(self.answer)


COMPLETION: Final = Dialect(CompletionWriter)
COMPLETION_V0: Final = Dialect(CompletionV0Writer)
