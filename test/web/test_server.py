"""The live page: newest parts only, read-only, bounded."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator

import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.web.board import Board
from endosfm3d_ros.web.server import MAX_READERS, PageServer


@pytest.fixture
def board() -> Board:
    return Board({"slow": 2.0})


@pytest.fixture
def server(board) -> Iterator[PageServer]:
    server = PageServer(board, "127.0.0.1", 0)
    yield server
    server.close()


def asked(server: PageServer, path: str, method: str = "GET") -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(server.address[7:-1], timeout=5)
    connection.request(method, path)
    return connection.getresponse()


def first_changes(server: PageServer) -> tuple[http.client.HTTPResponse, dict]:
    answer = asked(server, "/changes")
    line = answer.readline()
    return answer, json.loads(line.removeprefix(b"data: "))


def test_the_page_loads_nothing_from_elsewhere(server):
    answer = asked(server, "/")
    text = answer.read().decode()
    assert answer.status == 200 and "SceneViewer" in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.search(r"(src|href)=[\"']https?:", text)


def test_a_part_is_the_newest_of_its_name(board, server):
    assert asked(server, "/part/image").status == 404
    for content in (b"old", b"new"):
        board.put("image", "image/jpeg", content)
    answer = asked(server, "/part/image")
    assert answer.read() == b"new" and answer.headers["Content-Type"] == "image/jpeg"


def test_changes_are_told_and_only_while_somebody_looks_is_it_watched(board, server):
    assert not board.watched
    board.put("image", "image/jpeg", b"x")
    answer, changed = first_changes(server)
    assert changed == {"image": 1} and board.watched
    board.put("depth", "image/jpeg", b"y")
    answer.readline()
    assert json.loads(answer.readline().removeprefix(b"data: ")) == {"depth": 2}
    answer.close()
    end = time.monotonic() + 5
    while board.watched and time.monotonic() < end:
        time.sleep(0.05)
    assert not board.watched


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(server, method):
    assert asked(server, "/part/image", method).status == 501


@pytest.mark.parametrize("path", ["/etc/passwd", "/../README.md", "/part/../x", "/%00", "/part/"])
def test_nothing_else_is_served(server, path):
    assert asked(server, path).status in (400, 404)


def test_pages_are_bounded(server):
    held = [first_changes(server)[0] for _ in range(MAX_READERS)]
    assert asked(server, "/changes").status == 503
    for each in held:
        each.close()


def test_what_comes_too_soon_is_left_out(board):
    assert board.due("slow") and board.due("other")
    board.put("slow", "text/plain", b"1")
    assert not board.due("slow")
    time.sleep(0.55)
    assert board.due("slow")


def test_a_reader_waits_no_longer_than_it_says_and_close_lets_it_go(board):
    start = time.monotonic()
    assert board.changes(0, 0.1) == {}
    assert time.monotonic() - start < 2
    waiting = threading.Thread(target=board.changes, args=(0, 60))
    waiting.start()
    board.close()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


def test_a_port_that_is_taken_is_one_sentence(server, board):
    port = int(server.address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(ConfigurationError, match=f"--port {port}"):
        PageServer(board, "127.0.0.1", port)
