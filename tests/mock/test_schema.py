"""Values that a JSON schema allows, judged by pydantic, which made the schemas."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from simulation.mock.schema import example


class Colour(Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    """Refers to itself."""

    name: str
    children: list[Node]


class Many(BaseModel):
    """A bit of everything."""

    text: Annotated[str, Field(min_length=6, max_length=9)]
    short: Annotated[str, Field(max_length=2)]
    low: Annotated[int, Field(ge=10)]
    high: Annotated[float, Field(lt=-3)]
    between: Annotated[float, Field(gt=0.2, lt=0.3)]
    flag: bool
    nothing: None
    colour: Colour
    word: Literal["only"]
    items: Annotated[list[Node], Field(min_length=2)]
    pair: tuple[int, str]
    either: Node | int
    optional: int | None
    left_out: int = 3


@pytest.mark.parametrize("kind", [Many, Node, Colour, int, str, bool, list[int], dict[str, int], Node | None])
def test_a_value_is_valid(kind: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    adapter.validate_python(example(adapter.json_schema()))


@pytest.mark.parametrize(
    "schema",
    [
        None,
        [],
        "x",
        {"type": 7},
        {"required": 3},
        {"$ref": "#/nowhere"},
        {"enum": []},
        {"minItems": -1, "type": "array"},
    ],
)
def test_what_is_no_schema_gets_a_value_all_the_same(schema: object) -> None:
    example(schema)


def test_the_value_is_bounded() -> None:
    deep: dict[str, Any] = {"type": "array", "minItems": 1000}
    deep["items"] = deep

    def count(value: Any) -> int:
        return 1 + sum(map(count, value)) if isinstance(value, list) else 1

    assert count(example(deep)) <= 20_000
