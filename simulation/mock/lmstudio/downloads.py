"""Models that are being downloaded: how far they are is worked out when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..http import Body
from . import errors
from .catalogue import DownloadedModel, described
from .engine import LMStudioEngine

__all__ = ["Downloads"]


@dataclass(frozen=True, slots=True)
class _Job:
    """Times are in Unix seconds."""

    id: str
    model: DownloadedModel
    started: float
    finished: float


class Downloads:
    """The jobs of one server; one for each model that can be had. What is complete is a downloaded model."""

    def __init__(self, server: LMStudioEngine) -> None:
        self._server = server
        self._offered: Final = {model.key: described(model) for model in server.settings.downloadable}
        self._jobs: dict[str, _Job] = {}

    def settle(self) -> None:
        """Make downloaded models of the downloads that are complete by now."""
        now = self._server.unix_time()
        for job in self._jobs.values():
            if job.finished <= now:
                self._server.models.setdefault(job.model.key, job.model)

    def begin(self, key: str) -> Body:
        """Start a download, or find it under way. Raises Refusal."""
        self.settle()
        if key in self._server.models:
            return {"status": "already_downloaded"}
        if key not in self._offered:
            raise errors.not_downloadable(key)
        job = next((job for job in self._jobs.values() if job.model.key == key), None)
        if job is None:
            model, now = self._offered[key], self._server.unix_time()
            seconds = model.size_bytes / self._server.settings.download_bytes_per_second
            job = _Job(f"job_{len(self._jobs) + 1:010x}", model, now, now + seconds)
            self._jobs[job.id] = job
        return {
            "job_id": job.id,
            "status": "downloading",
            "total_size_bytes": job.model.size_bytes,
            "started_at": _iso(job.started),
        }

    def status(self, job_id: str) -> Body:
        """Return how far a download is. Raises Refusal."""
        self.settle()
        job = self._jobs.get(job_id)
        if job is None:
            raise errors.job_not_found(job_id)
        now, rate = self._server.unix_time(), self._server.settings.download_bytes_per_second
        done = job.finished <= now
        body: Body = {
            "job_id": job.id,
            "status": "completed" if done else "downloading",
            "total_size_bytes": job.model.size_bytes,
            "downloaded_bytes": job.model.size_bytes if done else int((now - job.started) * rate),
            "started_at": _iso(job.started),
        }
        if done:
            return {**body, "completed_at": _iso(job.finished)}
        return {**body, "bytes_per_second": rate, "estimated_completion": _iso(job.finished)}


def _iso(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
