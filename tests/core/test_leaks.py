"""The look for planted secrets finds them wherever they may be; a check that cannot fail would prove nothing."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest
import redis

from support.leaks import PLANTED, leaked_in, leaks_of_folder, leaks_of_redis, leaks_of_sections

SECRET = PLANTED["Facebook's access token"]


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_secret_is_found(name: str) -> None:
    assert leaked_in(f"Bearer {PLANTED[name]}!".encode()) == [name]
    assert leaked_in(b"nothing") == []


def test_what_was_printed_is_found() -> None:
    assert leaks_of_sections([("Captured log call", f"token={SECRET}")]) == [
        "Facebook's access token is in Captured log call"
    ]


def test_files_are_looked_through(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("leaking")
    (folder / "logs").mkdir()
    (folder / "logs" / "worker.log").write_text(json.dumps({"token": SECRET}))
    assert leaks_of_folder(folder) == ["Facebook's access token is in the file logs/worker.log"]


def test_every_kind_of_key_is_looked_into(redis_url: str, raw: redis.Redis) -> None:
    packed = base64.b64encode(zlib.compress(SECRET.encode()))
    raw.set("string", SECRET)
    raw.hset("hash", "data", zlib.compress(f"x{SECRET}".encode()))
    raw.rpush("list", packed)
    raw.sadd("set", SECRET)
    raw.zadd("zset", {SECRET: 1})
    raw.xadd("stream", {"error": SECRET})
    raw.set("innocent", "x")
    found = leaks_of_redis(redis_url)
    assert sorted(line.rpartition(" ")[2] for line in found) == ["hash", "list", "set", "stream", "string", "zset"]
    raw.flushall()
