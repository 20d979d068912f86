"""[R] Downloads weights into the store, once the user has asked for them and accepted their terms."""

from __future__ import annotations

from ..engines import registry
from ..host import store
from ..jobs.messages import Download, Finished
from ..model.engine import Stage
from ..model.errors import UserError
from ..runtime.report import MessageReport
from . import download as downloads


def run(request: Download, report: MessageReport) -> Finished:
    """Fetches the weights of the request into the store.

    Raises UserError where their terms have not been accepted, or only the user can download them, and as
    `download.fetch` does.
    """
    weights = registry.weights(request.weights)
    weights_store = store.default()
    if not weights_store.is_accepted(weights):
        raise UserError(f"Accept the terms of {weights.family} first: {weights.licence}, see {weights.terms_url}.")
    if weights.by_hand:
        raise UserError(
            f"{weights.name} has no address of its own: download it from {weights.url}, then press Use My File in the "
            "panel, or name it by --weights."
        )
    stage = Stage("downloading", f"Downloading {weights.name}", 1.0)
    report.plan([stage])
    expected = weights.sha256 or weights_store.pinned(weights)
    token = (request.token or store.token()) if weights.gated else ""
    file = downloads.RemoteFile(weights.url, weights.size, expected, token, weights.terms_url if weights.gated else "")

    def progress(done: int, total: int) -> None:
        report(stage, done, total or done + 1)

    digest = downloads.fetch(file, weights_store.path(weights), progress, ours=weights_store.is_ours(weights))
    weights_store.note_download(weights, digest)
    if expected:
        return Finished(f"{weights.name} is complete and is the published file.")
    return Finished(
        f"{weights.name} is complete. Nobody has published its hash; once it has opened as the network that it is for, "
        f"it must be {digest} from then on."
    )
