"""Upstash: every form of request over one Redis."""

from __future__ import annotations

import base64
import json

import pytest
import upstash_redis

from dialtone.standins.upstash import Upstash
from dialtone.standins.wire import Request


def test_a_command_in_the_body(world):
    """`POST /` with a JSON array is one command."""
    assert world.send("upstash", "POST", "/", body=["SET", "a", "1", "EX", 100]).json() == {"result": "OK"}
    assert world.send("upstash", "POST", "/", body=["INCR", "a"]).json() == {"result": 2}
    assert world.send("upstash", "POST", "/", body=["GET", "nobody"]).json() == {"result": None}


def test_a_command_in_the_path(world):
    """The path is the command; a body is its next argument, the query the ones after."""
    assert world.send("upstash", "GET", "/set/a b/x y").json() == {"result": "OK"}
    assert world.send("upstash", "GET", "/get/a b").json() == {"result": "x y"}
    assert world.send("upstash", "POST", "/set/c?EX=100", raw=b"{}").json() == {"result": "OK"}
    assert world.send("upstash", "GET", "/ttl/c").json() == {"result": 100}
    assert world.send("upstash", "GET", "/ping").json() == {"result": "PONG"}


def test_a_slash_in_an_argument(world):
    """An encoded slash belongs to the argument."""
    standin, key = world.standins["upstash"], {"authorization": "Bearer upstash-token"}
    standin.answer(Request("GET", "/set/a/b/1", "/set/a%2Fb/1", "", key))
    assert json.loads(standin.answer(Request("GET", "/get/a/b", "/get/a%2Fb", "", key)).body) == {"result": "1"}


@pytest.mark.parametrize("path", ["/pipeline", "/multi-exec"])
def test_many_commands(world, path):
    """Each command has its own result or error, and the others still run."""
    commands = [["SET", "k", "v"], ["INCR", "k"], ["ZADD", "z", 1, "m", 2, "n"], ["ZRANGE", "z", 0, -1], ["PTTL", "k"]]
    assert world.send("upstash", "POST", path, body=commands).json() == [
        {"result": "OK"},
        {"error": "ERR value is not an integer or out of range"},
        {"result": 2},
        {"result": ["m", "n"]},
        {"result": -1},
    ]


def test_base64(world):
    """With Upstash-Encoding: base64 texts come encoded, except OK."""
    headers = {"upstash-encoding": "base64"}
    commands = [["SET", "k", "v"], ["GET", "k"], ["RPUSH", "l", "a"], ["LRANGE", "l", 0, -1]]
    encoded = base64.b64encode(b"v").decode(), base64.b64encode(b"a").decode()
    answer = world.send("upstash", "POST", "/pipeline", body=commands, headers=headers).json()
    assert [one["result"] for one in answer] == ["OK", encoded[0], 1, [encoded[1]]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/", ["NOPE"], 400),
        ("POST", "/", ["GET"], 400),
        ("POST", "/", {"a": 1}, 400),
        ("POST", "/", [], 400),
        ("POST", "/", [["GET", "a"]], 400),
        ("POST", "/", ["SUBSCRIBE", "a"], 400),
        ("POST", "/pipeline", ["GET", "a"], 400),
        ("POST", "/multi-exec", [["MULTI"]], 400),
        ("DELETE", "/get/a", None, 405),
    ],
)
def test_refusals(world, method, path, body, status):
    """What cannot be understood or run is one `error`."""
    answer = world.send("upstash", method, path, body=body)
    assert (answer.status, list(answer.json())) == (status, ["error"])


def test_not_json(world):
    """A body that is not JSON is 400."""
    assert world.send("upstash", "POST", "/pipeline", raw=b"[[").status == 400


def test_tokens(world):
    """The token is good in the header and in the query, another is WRONGPASS; the journal shows none."""
    assert world.send("upstash", "GET", "/ping?_token=upstash-token", key="").json() == {"result": "PONG"}
    for key in ("", "wrong"):
        answer = world.send("upstash", "GET", "/ping", key=key)
        assert (answer.status, answer.json()) == (401, {"error": "WRONGPASS invalid or missing auth token"})
    assert "upstash-token" not in str(world.entries())


def test_a_full_database_refuses_writes():
    """Above its limit the database refuses what writes and serves what reads or deletes."""
    full = Upstash("t", max_keys=3)

    def run(*command):
        request = Request("POST", "/", headers={"authorization": "Bearer t"}, raw=json.dumps(command).encode())
        return json.loads(full.answer(request).body)

    for number in range(1_100):
        run("SET", f"k{number}", "v")
    assert run("SET", "more", "v") == {"error": "ERR DB capacity quota exceeded"}
    assert run("GET", "k1") == {"result": "v"}
    run("FLUSHDB")
    assert run("SET", "more", "v") == {"result": "OK"}


LIMIT = """
local n = redis.call("INCR", KEYS[1])
if n == 1 then redis.call("PEXPIRE", KEYS[1], ARGV[1]) end
return n
"""
"""A fixed window, as @upstash/ratelimit's scripts count."""


def test_the_real_sdk_is_content(standins):
    """upstash-redis: commands, a pipeline, a transaction, a script by text and by digest, errors."""
    with upstash_redis.Redis(
        standins.url("upstash"), standins.secrets["upstash_token"], allow_telemetry=False
    ) as redis:
        assert redis.set("sdk:a", "1", ex=60)
        assert redis.incr("sdk:a") == 2
        assert 0 < redis.ttl("sdk:a") <= 60
        redis.hset("sdk:h", values={"x": "1", "y": "ü"})
        assert redis.hgetall("sdk:h") == {"x": "1", "y": "ü"}
        redis.zadd("sdk:z", {"a": 1, "b": 2})
        assert redis.zrange("sdk:z", 0, -1, withscores=True) == [("a", 1.0), ("b", 2.0)]
        assert redis.pipeline().set("sdk:b", "2").get("sdk:b").exec() == [True, "2"]
        assert redis.multi().incr("sdk:n").incr("sdk:n").exec() == [1, 2]
        assert [redis.eval(LIMIT, ["sdk:limit"], ["60000"]) for _ in range(3)] == [1, 2, 3]
        digest = redis.script_load(LIMIT)
        assert redis.evalsha(digest, ["sdk:limit"], ["60000"]) == 4
        with pytest.raises(upstash_redis.errors.UpstashError, match="NOSCRIPT"):
            redis.evalsha("0" * 40, ["sdk:limit"], ["60000"])
        with pytest.raises(upstash_redis.errors.UpstashError, match="WRONGTYPE"):
            redis.incr("sdk:h")
    refused = pytest.raises(upstash_redis.errors.UpstashError, match="WRONGPASS")
    with upstash_redis.Redis(standins.url("upstash"), "wrong", rest_retries=0) as wrong, refused:
        wrong.get("a")
