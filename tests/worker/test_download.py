"""Downloads against a server that breaks off, lies about sizes, sends wrong bytes, redirects and refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.file_server import CONTENT, HASH, Server
from threer_blender.files import removal
from threer_blender.model.errors import UserError
from threer_blender.worker import download
from threer_blender.worker.download import RemoteFile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store" / "net.bin"


def silent(_done: int, _total: int) -> None:
    pass


def fetch(server: Server, target: Path, progress: Callable[[int, int], None] = silent, **known: Any) -> str:
    expected: dict[str, Any] = {"size": len(CONTENT), "sha256": HASH, **known}
    return download.fetch(RemoteFile(server.url, **expected), target, progress, pause=0.001)


def in_our_folder(target: Path, name: str) -> Path:
    """The path of a file in our own folder beside the target."""
    return target.parent / ".threer" / name


def left_beside(target: Path) -> list[str]:
    """The files beside the target, but for the marker and the lock of our own folder."""
    ours = {".threer_blender", "net.bin.lock"}
    return sorted(path.name for path in target.parent.rglob("*") if path.is_file() and path.name not in ours)


def ranges(server: Server) -> list[str | None]:
    return [headers.get("Range") for _, headers in server.requests]


def test_whole(server: Server, target: Path) -> None:
    heard: list[tuple[int, int]] = []
    assert fetch(server, target, lambda done, total: heard.append((done, total))) == HASH
    assert target.read_bytes() == CONTENT
    assert left_beside(target) == ["net.bin"]
    assert heard[0] == (0, len(CONTENT))
    assert heard[-1] == (len(CONTENT), len(CONTENT))


def test_breaks_are_mended_within_a_call(server: Server, target: Path) -> None:
    server.breaks = [300_000, 1, 200_000]
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=300000-", "bytes=300001-", "bytes=500001-"]


def test_the_next_call_goes_on_where_the_last_broke_off(server: Server, target: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, _total: int) -> None:
        if done >= 500_000:
            raise Stop

    with pytest.raises(Stop):
        fetch(server, target, stop)
    assert not target.exists()
    have = in_our_folder(target, "net.bin.partial").stat().st_size
    fetch(server, target)
    assert ranges(server) == [None, f"bytes={have}-"]
    assert target.read_bytes() == CONTENT


def test_giving_up_says_that_the_next_try_goes_on(server: Server, target: Path) -> None:
    server.breaks = [700_000] + [0] * 100
    with pytest.raises(UserError, match=r"1 MB have arrived; the next try goes on from there\.$"):
        fetch(server, target)
    server.breaks = []
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: Server, target: Path) -> None:
    server.breaks, server.ranges = [300_000], False
    fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{}, {"size": 0, "sha256": ""}])
def test_parts_of_two_versions_are_never_joined(server: Server, target: Path, known: dict[str, Any]) -> None:
    server.content, server.etag, server.breaks = CONTENT[::-1], '"old"', [400_000] + [0] * 10
    with pytest.raises(UserError, match="broke off"):
        fetch(server, target, **known)
    server.content, server.etag, server.breaks = CONTENT, '"new"', []
    fetch(server, target, **known)
    assert target.read_bytes() == CONTENT


def test_a_part_of_an_unknown_version_is_not_trusted(server: Server, target: Path) -> None:
    part(server, target, b"something else")
    in_our_folder(target, "net.bin.partial.json").unlink()
    fetch(server, target, sha256="")
    assert target.read_bytes() == CONTENT
    assert ranges(server) == [None]


def test_a_complete_part_is_taken_without_the_network(server: Server, target: Path) -> None:
    removal.claim(target.parent / ".threer")
    in_our_folder(target, "net.bin.partial").write_bytes(CONTENT)
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.requests == []


def part(server: Server, target: Path, content: bytes) -> None:
    """Writes `content` as the part of a file that an interrupted call leaves, with its note."""
    removal.claim(target.parent / ".threer")
    in_our_folder(target, "net.bin.partial").write_bytes(content)
    in_our_folder(target, "net.bin.partial.json").write_text(json.dumps({"url": server.url, "etag": server.etag}))


def test_416_for_a_complete_part_of_unknown_size(server: Server, target: Path) -> None:
    part(server, target, CONTENT)
    assert fetch(server, target, size=0, sha256="") == HASH
    assert ranges(server) == [f"bytes={len(CONTENT)}-"]


def test_416_for_a_part_that_is_too_long_starts_again(server: Server, target: Path) -> None:
    part(server, target, CONTENT + b"more")
    fetch(server, target, size=0, sha256="")
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("claimed", [len(CONTENT) - 10, len(CONTENT) + 10])
def test_a_size_that_is_not_the_published_one_is_refused(server: Server, target: Path, claimed: int) -> None:
    server.claimed = claimed
    with pytest.raises(UserError, match=f"{claimed:,} bytes, but the published file has {len(CONTENT):,}"):
        fetch(server, target)
    assert left_beside(target) == []


def test_a_size_that_is_taken_back(server: Server, target: Path) -> None:
    server.claimed = len(CONTENT) + 10  # the server's 416 then tells the true size
    fetch(server, target, size=0)
    assert target.read_bytes() == CONTENT


def test_a_size_that_never_arrives(server: Server, target: Path) -> None:
    server.claimed, server.ranges = len(CONTENT) + 10, False
    with pytest.raises(UserError, match="broke off"):
        fetch(server, target, size=0, sha256="")
    assert not target.exists()


def test_nothing_is_no_file(server: Server, target: Path) -> None:
    server.content = b""
    with pytest.raises(UserError, match="sent nothing for net"):
        fetch(server, target, size=0, sha256="")
    assert not target.exists()
    assert left_beside(target) == []


def test_wrong_bytes_are_deleted(server: Server, target: Path) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(UserError, match="hash differs"):
        fetch(server, target)
    assert left_beside(target) == []


def test_a_busy_server_is_asked_again(server: Server, target: Path) -> None:
    server.codes = [503, 429, 500]
    fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("code", "more", "sentence"),
    [
        (404, {}, "not at its address any more"),
        (403, {}, "refused to send"),
        (401, {"terms_url": "https://x.org/terms"}, r"needs your own token \(401\): ask for access at https://x"),
        (403, {"terms_url": "https://x.org/terms", "token": "hf_secret"}, r"refused your token \(403\)"),
    ],
)
def test_refusals_say_what_to_do(server: Server, target: Path, code: int, more: dict[str, Any], sentence: str) -> None:
    server.codes = [code]
    with pytest.raises(UserError, match=sentence) as refused:
        fetch(server, target, **more)
    assert "hf_secret" not in str(refused.value)
    assert len(server.requests) == 1


def test_an_unreachable_server(target: Path) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        download.fetch(RemoteFile("http://127.0.0.1:9/net.bin"), target, silent, pause=0.001)


def test_the_token_stays_with_its_host(server: Server, target: Path) -> None:
    with Server() as other:
        server.redirect = other.url.replace("127.0.0.1", "localhost")
        fetch(server, target, token="hf_secret")
        assert server.requests[0][1]["Authorization"] == "Bearer hf_secret"
        assert "Authorization" not in other.requests[0][1]


def test_the_token_follows_a_redirect_within_its_host(server: Server, target: Path) -> None:
    server.redirect, server.needs_token = "/moved/net.bin", "hf_secret"
    fetch(server, target, token="hf_secret")
    assert [path for path, _ in server.requests] == ["/net.bin", "/moved/net.bin"]
    assert target.read_bytes() == CONTENT


def test_a_redirect_to_what_is_not_secure_is_refused() -> None:
    asked = urllib.request.Request("https://packages.example/net.bin", headers={"Authorization": "Bearer hf_secret"})
    with pytest.raises(UserError, match=r"packages\.example sends on to an address that is not secure"):
        download.SecureRedirects().redirect_request(asked, None, 302, "Found", {}, "http://packages.example/net.bin")


def test_a_full_disk_is_noticed_before(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match="make room"):
        fetch(server, target)


@pytest.mark.parametrize("content", [b"", b"my own", CONTENT[:-1], CONTENT[:-1] + b"!"])
def test_a_file_that_stands_there_is_never_replaced_unless_it_is_ours(
    server: Server, target: Path, content: bytes
) -> None:
    target.parent.mkdir()
    target.write_bytes(content)
    with pytest.raises(UserError, match="is in the way, and is not the published file; move it away"):
        fetch(server, target)
    assert target.read_bytes() == content
    assert server.requests == []
    expected = RemoteFile(server.url, len(CONTENT), HASH)
    assert download.fetch(expected, target, silent, pause=0.001, ours=True) == HASH
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "x-unknown", "identity, gzip"])
def test_a_packed_body_is_refused(server: Server, target: Path, encoding: str) -> None:
    server.headers = {"Content-Encoding": encoding}
    with pytest.raises(UserError, match="packed"):
        fetch(server, target)
    assert not target.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "abc"},
        {"Content-Length": "-5"},
        {"Content-Length": "9" * 400},
        {"Content-Length": "\u0661"},
        {"Content-Length": "1e6"},
        {"ETag": "x" * 60_000},
        {"ETag": 'W/"weak"'},
        {"Content-Range": "bytes a-b/c"},
        {"Transfer-Encoding": "chunked"},
        {"Location": "http://[::1"},
    ],
    ids=str,
)
def test_false_headers_end_in_the_file_or_a_sentence(server: Server, target: Path, headers: dict[str, str]) -> None:
    server.headers, refused = headers, ""
    try:
        fetch(server, target, size=0)
    except UserError as error:
        refused = str(error)
    assert refused.endswith(".") if refused else target.read_bytes() == CONTENT
    assert target.exists() == (refused == "")


def test_retries_end_however_little_arrives_each_time(server: Server, target: Path) -> None:
    server.breaks = [1] * 10_000
    with pytest.raises(UserError, match="broke off"):
        fetch(server, target)
    assert len(server.requests) < 10


def test_retries_end_where_the_server_cannot_resume(server: Server, target: Path) -> None:
    server.breaks, server.ranges = [500_000] * 10_000, False
    with pytest.raises(UserError, match="broke off"):
        fetch(server, target)
    assert len(server.requests) < 10


CODE = """
import sys
from pathlib import Path
from threer_blender.worker import download
file = download.RemoteFile(sys.argv[1], int(sys.argv[3]), sys.argv[4])
print(download.fetch(file, Path(sys.argv[2]), lambda done, total: None, pause=0.01))
"""


@pytest.mark.parametrize("known", [True, False])
def test_eight_processes_fetch_one_file(server: Server, target: Path, known: bool) -> None:
    server.breaks = [300_000, 200_000, 100]
    given = [server.url, str(target), str(len(CONTENT) if known else 0), HASH if known else ""]
    several = [
        subprocess.Popen([sys.executable, "-c", CODE, *given], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(8)
    ]
    outputs = [process.communicate(timeout=60)[0].strip() for process in several]
    assert outputs == [HASH] * 8
    assert target.read_bytes() == CONTENT
    assert left_beside(target) == ["net.bin"]
    assert len([headers for _, headers in server.requests if "Range" not in headers]) == 1


def test_a_killed_download_lets_the_next_one_in(server: Server, target: Path) -> None:
    server.pause = 0.02
    given = [server.url, str(target), str(len(CONTENT)), HASH]
    process = subprocess.Popen([sys.executable, "-c", CODE, *given], stdout=subprocess.PIPE, cwd=ROOT)
    while not in_our_folder(target, "net.bin.partial").is_file():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    server.pause = 0.0
    assert fetch(server, target) == HASH


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/net.bin", "data:,x", "/etc/passwd"])
def test_only_addresses_of_the_web_are_fetched(target: Path, url: str) -> None:
    with pytest.raises(UserError, match="has no address on the web"):
        download.fetch(RemoteFile(url), target, silent, pause=0.001)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "answered 302"),
        ("ftp://127.0.0.1/net.bin", "not secure"),
        ("gopher://127.0.0.1/", "answered 302"),
    ],
)
def test_a_redirect_leads_nowhere_but_to_the_web(server: Server, target: Path, url: str, sentence: str) -> None:
    server.redirect = url
    with pytest.raises(UserError, match=sentence):
        fetch(server, target)
    assert not target.exists()
