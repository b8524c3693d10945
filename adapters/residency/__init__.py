"""Residency: bring a model into a local server's memory, keep account of whose it is, and take it out again.

It is the same for every local server that loads models, and the same mistakes are made everywhere: a load that is repeated makes a second
copy, a load that failed is waited for, an unload that was lost is not repeated, what the user loaded is unloaded, an "eviction"
is reported that was none. So it is written once. **An author writes the four verbs of a server**, and the adapter passes its life through::

    class MyServer:
        def __init__(self, http: HttpClient, model: str) -> None: ...

        async def list(self) -> Sequence[Resident]:     # all in memory, also on its way in or out, and loads that failed
            rows = (await self._http.json("GET", "/models"))["data"]
            return [Resident(row["id"], row["id"], _state(row), _config(row)) for row in rows if _state(row)]

        async def load(self) -> str | None:              # begin a load; return the instance's id, or None if the server does not tell
            await self._http.json("POST", "/load", {"model": self._model}, seconds=600, otherwise=ModelLoadError)
            return self._model

        async def unload(self, resident_id: str) -> None:   # may return before it is out; what is out already is fine
            await self._http.json("POST", "/unload", {"model": resident_id})

        def fits(self, resident: Resident) -> bool:      # is it the model that is wanted? (its configuration is compared here)
            return resident.model == self._model


    class MyAdapter:
        is_local, default_base_url = True, "http://localhost:9999"

        def __init__(self, config: AdapterConfig) -> None:
            check_options(config.options, {**HTTP_CHECKS, **RESIDENCY_CHECKS})
            self._http = HttpClient(config.options.get("base_url", self.default_base_url), bounds=Bounds.of(config.options))
            self._residency = Residency(MyServer(self._http, config.model_id), f"my server: {config.model_id}", config.options)

        async def start(self) -> None:
            await self._residency.start()

        async def shutdown(self) -> None:
            try:
                await self._residency.shutdown()
            finally:
                await self._http.aclose()

        def call(self, prompt, options):
            request = chat_request(self._residency.id, prompt, options)
            return self._residency.watched(lambda: stream_chat(self._http, request))

        def forward(self, request):
            return self._residency.forward(self._http, request, self._residency.id)

What it keeps to:

- **The server's list is the truth.** It is read before a load, until the load has ended, before each call, after an answer that broke, and
  until an unload is done. ``load`` may return at once or when the model is loaded; a model that fits and is being loaded is waited for.
- **A load is sent once.** If its answer is lost (but not if the request never left), the list tells what became of it. Every end
  of a load is seen: loaded; failed, with the server's reason; or gone. A load that is refused because the server is busy (no room, a
  full queue) is asked for again; one that is refused because the model is being loaded already (``model_already_running``) is
  another's.
- **Owned is what this adapter loaded**, and only that is unloaded: by its id, and only while the list shows it as it was. The user may
  have unloaded it, and another program loaded the same id with another configuration: that is left alone.
- **An unload is repeated** until the list no longer shows the instance, within ``unload_timeout``. A fault that may pass (no answer,
  429, 5xx) decides nothing.
- **An eviction is reported only where the list shows one**: the instance is gone, or is another one. Else the error stays what it was.
  Where the list cannot be read after a connection was lost, the error is ``broken``, so that the instance is looked at afresh.
- **What a call makes the server load is owned, too**: say with ``loads_on_call`` whether the server does that; see ``just_in_time``.

================ ===============================================================================
file             what it does
================ ===============================================================================
``server``       what an author writes
``judging``      what an error says about a load, an unload or an instance
``memory``       the list: what fits, and unloading until it is gone
``owned``        the file of what was loaded, for a later run; ``noting`` writes it, and unloads what was left
``loading``      finding, or loading once, whatever becomes of the answer
``just_in_time`` what calls made the server load
``life``         the whole: start, calls, shutdown
================ ===============================================================================
"""

from __future__ import annotations

from .life import RESIDENCY_CHECKS, Residency
from .owned import Owned, OwnedFile
from .server import ALREADY_RUNNING, ModelServer, Resident

__all__ = ["ALREADY_RUNNING", "RESIDENCY_CHECKS", "ModelServer", "Owned", "OwnedFile", "Residency", "Resident"]
