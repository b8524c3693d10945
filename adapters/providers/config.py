"""The configuration of a model, and of the two models of an application, made from a mapping and checked when it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from statemachine.checks import check_name, option_names, shown
from statemachine.config.options import copy_options
from statemachine.errors import ConfigurationError

from ..http.options import check_base_url, check_token

__all__ = ["AgentModelConfig", "ModelConfig"]

_PARAMETERS: Final = ("temperature", "max_tokens", "top_p", "seed", "stop")
"""The parameters of calls that a mapping may have at its top level."""


@dataclass(frozen=True, repr=False)
class ModelConfig:
    """One model. Raises ConfigurationError.

    ``provider`` is a kind (``"lmstudio"``, ``"openai"``, ...) or the name of a further provider, ``model`` its name there.
    ``base_url`` and ``api_key`` default to the kind's and to the environment's. ``parameters`` (temperature, ...) go with each call:
    zero is a value. ``options`` are the adapter's, and part of the instance's identity.
    """

    provider: str
    model: str
    base_url: str | None = None
    api_key: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("provider", self.provider)
        check_name("model", self.model)
        if self.base_url is not None:
            check_base_url("base_url", self.base_url)
        check_token("api_key", self.api_key)
        object.__setattr__(self, "parameters", copy_options(self.parameters, "parameters"))
        object.__setattr__(self, "options", copy_options(self.options, "options"))

    @classmethod
    def of(cls, config: ModelConfig | Mapping[str, Any]) -> ModelConfig:
        """Make a configuration from a mapping with the fields' names; parameters such as ``temperature`` may be beside them.

        Raises ConfigurationError.
        """
        if isinstance(config, ModelConfig):
            return config
        if not isinstance(config, Mapping):
            raise ConfigurationError("config", "must be a ModelConfig or a mapping", shown(config))
        known = [one.name for one in fields(cls)]
        for name in config:
            if name not in known and name not in _PARAMETERS:
                raise ConfigurationError(f"config.{name}", f"must be one of {', '.join(known)}", "an unknown name")
        for name in ("provider", "model"):
            if name not in config:
                raise ConfigurationError(f"config.{name}", "must be given", "nothing")
        given = {name: config[name] for name in known if name in config}
        beside = {name: config[name] for name in _PARAMETERS if config.get(name) is not None}
        given["parameters"] = {**dict(config.get("parameters", {})), **beside}
        return cls(**given)

    def __repr__(self) -> str:
        return f"ModelConfig({self.provider!r}, {self.model!r}, options: {option_names(self.options)})"


@dataclass(frozen=True)
class AgentModelConfig:
    """The two models of an application's agents, on one backend or on two."""

    quick: ModelConfig
    deep: ModelConfig

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> AgentModelConfig:
        """Make a configuration from the keys that such applications use. Raises ConfigurationError.

        Either ``quick`` and ``deep``, a configuration each; or two models on one backend: ``llm_provider``, ``backend_url``,
        ``quick_think_llm``, ``deep_think_llm``. Other keys belong to the application, and are ignored.
        """
        if "quick" in config and "deep" in config:
            return cls(ModelConfig.of(config["quick"]), ModelConfig.of(config["deep"]))
        for name in ("llm_provider", "quick_think_llm", "deep_think_llm"):
            if name not in config:
                raise ConfigurationError(f"config.{name}", "must be given, or quick and deep", "nothing")
        backend: dict[str, Any] = {"provider": str(config["llm_provider"]).lower()}
        for key, name in ("backend_url", "base_url"), ("api_key", "api_key"), ("temperature", "temperature"):
            if config.get(key) is not None:
                backend[name] = config[key]
        models = [ModelConfig.of({**backend, "model": config[f"{which}_think_llm"]}) for which in ("quick", "deep")]
        return cls(*models)
