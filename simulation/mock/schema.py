"""A small value that a JSON schema allows: what the mock answers where a schema is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["example"]

DEEPEST: Final = 16
MOST_VALUES: Final = 10_000


def example(schema: object) -> Any:
    """Make a value of ``schema``: with the members that it requires, as short as it allows, always the same.

    What is not understood (patterns, formats, negations) is not kept. Nothing is deeper than 16 levels, nor has more than 10,000 values.
    """
    return _Maker(schema).value(schema, 0)


class _Maker:
    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MOST_VALUES

    def value(self, schema: object, depth: int) -> Any:
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return None
        if not isinstance(schema, Mapping):
            return {}
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        return self._composed(schema, depth)

    def _composed(self, schema: Mapping[str, Any], depth: int) -> Any:
        if isinstance(reference := schema.get("$ref"), str):
            return self.value(self._resolved(reference), depth + 1)
        for name in ("anyOf", "oneOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                return self.value(schema[name][0], depth + 1)
        if isinstance(schema.get("allOf"), list):
            return _merged([self.value(part, depth + 1) for part in schema["allOf"]])
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        match kind:
            case "string":
                return _string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
            case "array":
                return self._array(schema, depth)
            case _:
                return self._object(schema, depth)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        required = schema.get("required")
        if not isinstance(properties, Mapping):
            properties = {}
        names = [name for name in required if isinstance(name, str)] if isinstance(required, list) else []
        return {name: self.value(properties.get(name), depth + 1) for name in names}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        prefix = schema.get("prefixItems")
        items = [self.value(part, depth + 1) for part in prefix] if isinstance(prefix, list) else []
        more = _bound(schema, "minItems", 0) - len(items)
        return items + [self.value(schema.get("items"), depth + 1) for _ in range(more) if self._left > 0]

    def _resolved(self, reference: str) -> object:
        """Return what a reference within the schema points to."""
        found: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


def _string(schema: Mapping[str, Any]) -> str:
    text = "mock"[: _bound(schema, "maxLength", 4)]
    return text.ljust(_bound(schema, "minLength", 0), "-")


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    low, above = _limit(schema, "minimum"), _limit(schema, "exclusiveMinimum")
    high, below = _limit(schema, "maximum"), _limit(schema, "exclusiveMaximum")
    candidates: list[int | float] = [1, 0]
    candidates += [low] if low is not None else []
    candidates += [above + 1] if above is not None else []
    candidates += [high] if high is not None else []
    candidates += [below - 1] if below is not None else []
    if above is not None and below is not None and not whole:
        candidates.append((above + below) / 2)

    def fits(number: int | float) -> bool:
        bounds = (low is None or number >= low) and (high is None or number <= high)
        return bounds and (above is None or number > above) and (below is None or number < below)

    found = next((number for number in candidates if fits(number)), 1)
    return int(found) if whole else found


def _limit(schema: Mapping[str, Any], name: str) -> int | float | None:
    value = schema.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _bound(schema: Mapping[str, Any], name: str, default: int) -> int:
    """Return a length that the schema says, at most a thousand."""
    value = schema.get(name)
    return min(value, 1000) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _merged(parts: list[Any]) -> Any:
    if all(isinstance(part, dict) for part in parts):
        return {name: value for part in parts for name, value in part.items()}
    return parts[0] if parts else {}
