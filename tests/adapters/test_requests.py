"""What is sent, and what is refused before it is sent: the body and the headers of a chat, options, credentials, and secrets in texts."""

from __future__ import annotations

from base64 import b32encode, b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from adapters.http import (
    HTTP_CHECKS,
    Bounds,
    chat_request,
    check_base_url,
    check_options,
    check_seconds,
    check_token,
    checked_headers,
    token_of,
)
from adapters.http.messages import CHAT_PATH, listed
from adapters.http.secrets import redacted, secrets_in_headers, secrets_in_url
from statemachine import CallOptions, ConfigurationError

PROMPT = [{"role": "user", "content": "hi"}]


def refused(call: Any, *arguments: Any, **more: Any) -> str:
    """The whole text of the refusal."""
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments, **more)
    return str(caught.value)


# ---- the body of a chat ----


def test_the_body_of_a_chat() -> None:
    request = chat_request("m", PROMPT, CallOptions(stream=False))
    assert (request.path, request.headers, request.body) == (
        "/v1/chat/completions",
        {},
        {"model": "m", "messages": PROMPT, "stream": False},
    )
    assert CHAT_PATH == "/v1/chat/completions"
    tools = [{"type": "function", "function": {"name": "f"}}]
    options = CallOptions(tools=tools, parameters={"temperature": 0, "ttl": 1})
    request = chat_request("m", PROMPT, options, path="/p", more={"ttl": 60, "cache_prompt": True})
    assert (request.path, request.body) == (
        "/p",
        {
            "model": "m",
            "messages": PROMPT,
            "stream": True,
            "stream_options": {"include_usage": True},
            "tools": tools,
            "temperature": 0,
            "ttl": 1,
            "cache_prompt": True,
        },
    )


@pytest.mark.parametrize("name", ["messages", "model", "stream", "tools"])
def test_what_the_call_sets_itself_is_refused_as_a_parameter(name: str) -> None:
    message = refused(chat_request, "m", PROMPT, CallOptions(parameters={name: 1, "z": 1}))
    assert message == f"parameters.{name}: is set from the call itself and must not be given; got a value"


def test_a_prompt_is_named_by_its_place() -> None:
    message = refused(chat_request, "m", [*PROMPT, {"content": {1, 2}}], CallOptions())
    assert message.startswith("prompt[1].content: ")


@pytest.mark.parametrize("name", ["X-A", "a", "0", "!#$%&'*+.^_`|~-"])
@pytest.mark.parametrize("value", ["b", "!", "~", "a b", "!  ~", "x" * 1000])
def test_headers_of_one_call(name: str, value: str) -> None:
    options = CallOptions(stream=False, parameters={"extra_headers": {name: value}})
    request = chat_request("m", PROMPT, options)
    assert (request.headers, "extra_headers" in request.body) == ({name: value}, False)
    assert options.parameters["extra_headers"] == {name: value}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x", "parameters.extra_headers: must be a mapping of header names to values; got a str"),
        (["x"], "parameters.extra_headers: must be a mapping of header names to values; got a list"),
        (None, "parameters.extra_headers: must be a mapping of header names to values; got a NoneType"),
        *[
            ({name: "x"}, "parameters.extra_headers: names must be HTTP header names; got another name")
            for name in ("", "A B", "A:", "\u00e9", "a\n", "(a)")
        ],
        *[
            (
                {"X-A": value},
                "parameters.extra_headers.X-A: must be printable ASCII without blanks around it; got a str",
            )
            for value in ("", " ", " a", "a ", "a\n", "a\tb", "\u00e9", "\x7f")
        ],
        *[
            (
                {name: "1"},
                f"parameters.extra_headers.{name}: is set from the body itself and must not be given; got a value",
            )
            for name in ("Content-Length", "transfer-encoding")
        ],
        ({"X-A": 7}, "parameters.extra_headers.X-A: must be printable ASCII without blanks around it; got a int"),
        ({"X-A": b"x"}, "parameters.extra_headers.X-A: must be printable ASCII without blanks around it; got a bytes"),
        (
            {"X-B": "x", "X-A": None},
            "parameters.extra_headers.X-A: must be printable ASCII without blanks around it; got a NoneType",
        ),
    ],
)
def test_headers_that_are_none(given: object, message: str) -> None:
    assert refused(checked_headers, given) == message


# ---- options ----


def test_which_options_there_are_and_what_each_is_checked_for() -> None:
    good: dict[str, list[Any]] = {
        "api_key": [None, "k"], "api_token": [None, "k"], "base_url": ["http://host", "https://host:1/v1"],
        "call_timeout": [None, 1, 0.5], "connect_timeout": [None, 1], "first_event_timeout": [None, 1], "read_timeout": [None, 1],
        "max_body_bytes": [1, 10**9], "max_event_bytes": [1], "max_line_bytes": [1],
    }  # fmt: skip
    assert set(HTTP_CHECKS) == set(good)
    for name, values in good.items():
        for value in values:
            check_options({name: value}, HTTP_CHECKS)
        bad = 7 if name in ("api_key", "api_token", "base_url") else 0
        assert refused(check_options, {name: bad}, HTTP_CHECKS).startswith(f"adapter_options.{name}: must be ")


def test_an_unknown_option_and_a_text_are_not_shown() -> None:
    checks = {"b": check_seconds, "a": check_base_url}
    assert (
        refused(check_options, {"c": "sk-secret"}, checks)
        == "adapter_options.c: must be one of a, b; got an unknown option"
    )
    rule = "must be a finite number of seconds of at least 0"
    assert refused(check_options, {"b": "sk-secret"}, checks) == f"adapter_options.b: {rule}; got a str"
    assert refused(check_options, {"b": -1}, checks) == f"adapter_options.b: {rule}; got -1"
    assert "sk-secret" not in refused(check_options, {"a": "sk-secret"}, checks)


def test_seconds() -> None:
    for value in (0, 0.0, 1, 0.5, 1e9):
        check_seconds("p", value)
    for bad, text in (
        (-1, "-1"),
        (-0.001, "-0.001"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (True, "True"),
        (None, "a NoneType"),
    ):
        assert refused(check_seconds, "p", bad) == f"p: must be a finite number of seconds of at least 0; got {text}"
    assert refused(check_seconds, "p", "1").startswith("p: must be a finite number")


LABEL = "a" * 63


@pytest.mark.parametrize(
    "url",
    [
        "http://host", "https://host", "HTTP://Host", "http://host/", "http://host/v1", "http://host:1", "http://host:65535", "http://127.0.0.1:1234",
        "http://[::1]:1", "http://[fe80::1%25eth0]:1", "http://user:pass@host", "http://a.b.c", "http://host.", "http://a_b-c", f"http://{LABEL}",
        f"http://{LABEL}.{LABEL}.{LABEL}.{'a' * 61}", "http://[::ffff:127.0.0.1]", "http://[2001:DB8::A]",
    ],
)  # fmt: skip
def test_base_urls(url: str) -> None:
    check_base_url("p", url)


@pytest.mark.parametrize(
    "url",
    [
        "", "host", "host:1", "ftp://host", "http://", "http:///v1", "http://host:0", "http://host:65536",
        "http://host:x", "http://host?a=b", "http://host/#a",
        "http://a..b", "http://.a", "http://a b", f"http://{LABEL}a", f"http://{LABEL}.{LABEL}.{LABEL}.{'a' * 62}", "http://a!b",
        "unix:///x", "http://[", 7, None, ["http://host"],
        "http://host\n",
    ],
)  # fmt: skip
def test_base_urls_that_are_none(url: object) -> None:
    rule = "must be an http or https URL with a host, a port from 1 to 65535 if any, and without query and fragment"
    assert refused(check_base_url, "p", url).startswith(f"p: {rule}; got ")


def test_credentials() -> None:
    for good in (None, "k", "!", "~", "sk-0:/+="):
        check_token("p", good)
    for bad in ("", " ", "a b", "a\n", "\x7f", "\u00e9", " k", 7, b"k", True, ["k"]):
        assert (
            refused(check_token, "p", bad)
            == f"p: must be printable ASCII without blanks, or None; got a {type(bad).__name__}"
        )


def test_which_credential_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    assert token_of({}, "A_KEY") is None
    monkeypatch.setenv("A_KEY", "")
    assert token_of({}, "A_KEY") is None
    monkeypatch.setenv("A_KEY", "env")
    assert token_of({}, "A_KEY") == token_of({}, "A_KEY") == "env"
    assert token_of({"api_key": "own"}, "A_KEY") == token_of({"api_token": "own"}, "A_KEY") == "own"
    assert token_of({"api_key": None}, "A_KEY") is token_of({"api_token": None}, "A_KEY") is None
    both = refused(token_of, {"api_key": "a", "api_token": "a"}, "A_KEY")
    assert both == "adapter_options.api_key: is api_token by another name: give one of them; got both"
    monkeypatch.setenv("A_KEY", "a b")
    rule = "must be printable ASCII without blanks, or None; got a str"
    assert refused(token_of, {}, "A_KEY") == f"the environment variable A_KEY: {rule}"


def test_the_bounds_that_options_give() -> None:
    assert Bounds.of({}) == Bounds() == Bounds(32 << 20, 4 << 20, 8 << 20, 5, 600, 600, 3600)
    assert Bounds.of({"read_timeout": 7}) == Bounds(read_timeout=7, first_event_timeout=7)
    assert Bounds.of({"read_timeout": None}) == Bounds(read_timeout=None, first_event_timeout=None)
    assert Bounds.of({"read_timeout": 7, "first_event_timeout": 9}) == Bounds(read_timeout=7, first_event_timeout=9)
    given = {
        "max_body_bytes": 1,
        "max_line_bytes": 2,
        "max_event_bytes": 3,
        "connect_timeout": 4,
        "call_timeout": 5,
        "base_url": "x",
    }
    assert Bounds.of(given) == Bounds(1, 2, 3, 4, 600, 600, 5)


# ---- secrets ----

SECRET = "sk-Ab+/9&x y\u00e9"
DATA = SECRET.encode()


@pytest.mark.parametrize(
    "form",
    [
        SECRET, SECRET.upper(), SECRET.lower(), quote(SECRET), quote(SECRET, safe=""), DATA.hex(), DATA.hex().upper(),
        b64encode(DATA).decode(), b64encode(DATA).decode().rstrip("="), b32encode(DATA).decode(), b32encode(DATA).decode().rstrip("="),
        b64encode(b"u:" + DATA).decode()[3:-3], b64encode(b"us:" + DATA + b"!!").decode()[4:-6],
        b64encode(DATA).decode().translate(str.maketrans("+/", "-_")), " ".join(SECRET.replace(" ", "")),
        "\u200b".join(SECRET), "\n".join(SECRET),
        "\xad".join(SECRET), "\ufeff".join(SECRET), "".join(f"%{byte:02x}" for byte in DATA[:-2]) + "\u00e9",
        "".join(f"&#{ord(c)};" for c in SECRET), "".join(f"&#x{ord(c):x};" for c in SECRET), "".join(f"&#x{ord(c):04X}" for c in SECRET),
        "".join(f"\\u{ord(c):04x}" for c in SECRET), "".join(f"\\x{ord(c):02x}" for c in SECRET),
        "".join(f"%25{ord(c):02x}" for c in SECRET),
        "".join(f"\\{c}" for c in SECRET), "".join(f"\\\\u{ord(c):04x}" for c in SECRET),
    ],
)  # fmt: skip
def test_every_form_of_a_secret_is_blotted_out(form: str) -> None:
    shown = redacted(f"before {form} after", [SECRET])
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "***" in shown
    assert len(shown) < len("before  after") + 12


@pytest.mark.parametrize("secret", ["abcdefgh", "abcdefghi", "abcdefghij", "abcdefghW", "a?b>c~d?"])
def test_base64_of_a_secret_is_blotted_out_whole_and_within_a_longer_text(secret: str) -> None:
    data = secret.encode()
    for code in (b64encode(data).decode(), b32encode(data).decode(), urlsafe_b64encode(data).decode()):
        for text in (code, code.rstrip("=")):
            assert redacted(text, [secret]).rstrip("=") == "***"
    for before, seam in enumerate((0, 2, 3)):
        rest = (before + len(data)) % 3
        for encode in (b64encode, urlsafe_b64encode):
            code = encode(b"!" * before + data + b"!" * (3 - rest)).decode()
            begin, _, end = redacted(code, [secret]).partition("***")  # the characters at the seams depend on the rest
            assert begin == code[:seam]
            assert code[-4:].endswith(end)


def test_what_is_no_secret_stays() -> None:
    assert redacted("a text", [SECRET]) == redacted("a text", []) == "a text"
    assert redacted("sk-Ab and more", [SECRET]) == "sk-Ab and more"
    assert redacted("a %41 b", ["AAAA"]) == "a %41 b"


def test_the_longest_form_goes_first_and_each_secret_goes() -> None:
    assert redacted("abcdefgh abcd", ["abcd", "abcdefgh"]) == "*** ***"
    assert redacted("abcdefgh efgh", ["efgh", "abcdefgh"]) == "*** ***"
    assert redacted("one1one1 two2two2", ["two2two2", "one1one1"]) == "*** ***"
    assert redacted("ab%20cd ab cd", ["ab%20cd"]) == "*** ***"


def test_a_short_secret_is_blotted_out_as_a_word_only() -> None:
    assert redacted("key abc, abcd, xabc, ABC. a_abc", ["abc"]) == "key ***, abcd, xabc, ***. a_abc"
    assert redacted("xabcdx", ["abcd"]) == "x***x"
    assert redacted("a.c abc", ["a.c"]) == "*** abc"
    assert redacted("a%2Fb", ["a/b"]) == "***"
    assert redacted("x YWJj x", ["abc"]) == "x *** x"
    assert redacted("x YWJX x", ["abW"]) == "x *** x"
    assert redacted(b32encode(b"abcdefghiW").decode(), ["abcdefghiW"]) == "***"
    assert redacted("616263", ["abc"]) == "616263"  # too short a word for that
    assert redacted(b"seven77".hex(), ["seven77"]) == b"seven77".hex()
    assert redacted(b"eight888".hex(), ["eight888"]) == "***"


def test_so_much_of_a_text_is_looked_at() -> None:
    assert redacted("x" * 65_536, []) == redacted("x" * 65_537, []) == "x" * 65_536


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://host", ()),
        ("http://user@host", ("user", b64encode(b"user:").decode())),
        ("http://user:pass@host", ("pass", b64encode(b"user:pass").decode())),
        ("http://username:pass@host", ("username", "pass", b64encode(b"username:pass").decode())),
        ("http://usernam:pass@host", ("pass", b64encode(b"usernam:pass").decode())),
        ("http://:pass@host", ("pass", b64encode(b":pass").decode())),
        ("http://u%26r:p%40s@host", ("p@s", b64encode(b"u&r:p@s").decode())),
    ],
)
def test_secrets_in_a_url(url: str, secrets: tuple[str, ...]) -> None:
    assert secrets_in_url(httpx.URL(url)) == secrets


def test_secrets_in_headers() -> None:
    assert secrets_in_headers(["Bearer 12345678", "1234567", "abcdefgh  ijklmnop x", ""]) == [
        "12345678",
        "abcdefgh",
        "ijklmnop",
    ]


def test_what_should_be_a_list() -> None:
    assert listed({}, "a", "p") == listed({"a": None}, "a", "p") == ()
    assert listed({"a": [1]}, "a", "p") == [1]
    with pytest.raises(ConfigurationError) as caught:
        listed({"a": {"b": 1}}, "a", "prompt[0]")
    assert str(caught.value) == "prompt[0].a: must be a list; got a dict"
