"""Who may do what: keys, scopes, tenants, sign-ins, and what other sites cannot do."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient
from serve_double import SECRET, Running

from salon.errors import AuthError, SettingError
from salon.serve.keys import Keyring, Sessions, allows, make_key, session_secret
from salon.serve.logs import JsonFormatter, hide
from salon.store.values import StoredKey

ORIGIN = {"Origin": "http://testserver"}


@pytest.fixture(scope="module")
def two(serving: Callable[..., Running]) -> Running:
    return serving(("default", "other"))


@pytest.fixture
def page(two: Running) -> Iterator[TestClient]:
    """A browser of its own, which is signed in."""
    two.client.cookies.clear()
    assert two.client.post("/v1/session", json={"key": two.keys["admin"]}).status_code == 200
    yield two.client
    two.client.cookies.clear()


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_key_has_256_random_bits_and_only_its_digest_is_stored() -> None:
    text, key = make_key("shop", ["read"])
    prefix, secret = re.fullmatch(r"salon_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", text).groups()
    assert key.prefix == prefix
    assert secret not in str(key)
    assert re.fullmatch("[0-9a-f]{64}", key.digest)
    assert make_key("shop", ["read"])[0] != text


def test_a_key_needs_scopes_that_exist() -> None:
    with pytest.raises(SettingError, match="no scope 'writ'"):
        make_key("shop", ["writ"])
    with pytest.raises(SettingError, match="without a scope"):
        make_key("shop", [])


def test_scopes_allow_what_smaller_ones_allow() -> None:
    def key(*scopes: str) -> StoredKey:
        return make_key("", scopes)[1]

    assert [allows(key("write"), scope) for scope in ("read", "write", "admin")] == [True, True, False]
    assert [allows(key("admin"), scope) for scope in ("read", "write", "admin")] == [True, True, True]
    assert not allows(key("read"), "write")


def test_a_keyring_asks_the_store_once_and_notices_a_revocation_in_time() -> None:
    text, key = make_key("shop", ["read"])
    stored = {key.prefix: key}
    asked: list[str] = []
    now = [0.0]

    def find(prefix: str) -> StoredKey | None:
        asked.append(prefix)
        return stored.get(prefix)

    ring = Keyring(find, clock=lambda: now[0])
    assert ring.by_text(text) == ring.by_text(text) == key
    assert len(asked) == 1
    stored[key.prefix] = StoredKey(**{**vars(key), "revoked": 1.0})
    now[0] = 5.1
    with pytest.raises(AuthError):
        ring.by_text(text)


def test_a_keyring_forgets_the_least_used_key() -> None:
    pairs = [make_key(str(i), ["read"]) for i in range(1100)]
    stored = {key.prefix: key for _, key in pairs}
    ring = Keyring(stored.get)
    for text, _ in pairs:
        ring.by_text(text)
    assert not ring.remembers(pairs[0][1].prefix)
    assert ring.remembers(pairs[-1][1].prefix)


@pytest.mark.parametrize(
    "bad", ["", "x", "salon_", "salon_a_b", "salon__x", "Basic x", "salon_" + "x" * 300, "salon_é_é"]
)
def test_what_is_no_key_opens_nothing(two: Running, bad: str) -> None:
    answer = two.client.get("/v1/items", headers={"X-API-Key": bad.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "auth"


def test_a_key_with_one_letter_changed_opens_nothing(two: Running) -> None:
    text = two.keys["admin"]
    other = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert two.client.get("/v1/items", headers={"X-API-Key": other}).status_code == 401
    assert two.client.get("/v1/items", headers={"X-API-Key": text}).status_code == 200
    assert two.client.get("/v1/items", headers={"Authorization": f"bearer {text}"}).status_code == 200


def test_every_call_that_is_declared_to_need_a_key_needs_one(two: Running) -> None:
    tried = 0
    for path, methods in two.client.get("/openapi.json").json()["paths"].items():
        for method, call in methods.items():
            if call.get("security"):
                address = re.sub(r"{\w+}", "x", path)
                assert two.client.request(method, address).status_code == 401, (method, path)
                tried += 1
    assert tried > 80
    assert two.client.get("/metrics").status_code == 401


READS_BY_POST = ("/v1/recommend", "/v1/similar", "/v1/rank", "/v1/search", "/v1/explain", "/api/session")
FOR_ADMINS = ("/v1/keys", "/v1/audit", "/v1/models", "/v1/scenarios", "/v1/experiments")


def test_a_reader_writes_nothing_and_a_writer_keeps_no_shop(two: Running) -> None:
    for path, methods in two.client.get("/openapi.json").json()["paths"].items():
        for method, call in methods.items():
            if not call.get("security") or path == "/v1/session":
                continue
            address = re.sub(r"{\w+}", "x", path)
            reads = method == "get" or path.startswith(READS_BY_POST)
            owner = path.startswith(FOR_ADMINS) and not (
                method == "get" and not path.startswith(("/v1/keys", "/v1/audit"))
            )
            by_reader = two.client.request(method, address, headers=two.headers("read")).status_code
            by_writer = two.client.request(method, address, headers=two.headers("write")).status_code
            assert (by_reader == 403) == (not reads or owner), (method, path, by_reader)
            assert (by_writer == 403) == owner, (method, path, by_writer)


def test_keys_are_made_listed_and_revoked_by_the_owner(two: Running) -> None:
    made = two.client.post("/v1/keys", json={"name": "till", "scopes": ["write"]}, headers=two.headers()).json()
    mine = {"Authorization": f"Bearer {made['key']}"}
    assert two.client.get("/v1/session", headers=mine).json()["scopes"] == ["write"]
    listed = two.client.get("/v1/keys", headers=two.headers()).json()["keys"]
    assert made["prefix"] in [key["prefix"] for key in listed]
    assert made["key"].split("_", 2)[2] not in json.dumps(listed)
    assert "digest" not in json.dumps(listed)
    assert two.client.delete(f"/v1/keys/{made['prefix']}", headers=two.headers()).json() == {"deleted": 1}
    assert two.client.get("/v1/session", headers=mine).status_code == 401


# -- tenants -----------------------------------------------------------------------------------------------------------


def test_a_key_opens_the_shop_of_its_tenant_alone(two: Running) -> None:
    there = two.headers("other:admin")
    two.client.put("/v1/items/only-there", json={}, headers=there)
    assert two.client.get("/v1/items/only-there", headers=there).status_code == 200
    assert two.client.get("/v1/items/only-there", headers=two.headers()).status_code == 404
    prefixes = {key["prefix"] for key in two.client.get("/v1/keys", headers=there).json()["keys"]}
    assert prefixes == {two.keys[f"other:{scope}"].split("_")[1] for scope in ("read", "write", "admin")}
    foreign = two.keys["read"].split("_")[1]
    assert two.client.delete(f"/v1/keys/{foreign}", headers=there).status_code == 404
    assert two.client.get("/v1/session", headers=two.headers("read")).status_code == 200


def test_the_numbers_of_a_tenant_are_its_own(two: Running) -> None:
    two.client.get("/v1/people?user=x", headers=two.headers("other:read"))
    text = two.client.get("/metrics", headers=two.headers("read")).text
    assert not [line for line in text.splitlines() if '="other"' in line]
    mine = 'route="/v1/people",status="200"'
    assert mine not in text
    assert mine in two.client.get("/metrics", headers=two.headers("other:read")).text


def test_a_key_of_a_tenant_that_is_not_served_is_told_so(two: Running) -> None:
    text, key = make_key("left over", ["read"], tenant="gone")
    two.service.store.keys.add(key)
    assert two.client.get("/v1/items", headers={"X-API-Key": text}).status_code == 403


# -- sign-ins ----------------------------------------------------------------------------------------------------------


def test_the_cookie_of_a_sign_in_is_out_of_reach_for_scripts_and_other_sites(two: Running) -> None:
    answer = two.client.post("/v1/session", json={"key": two.keys["read"]})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert two.keys["read"].split("_", 2)[2] not in cookie
    two.client.cookies.clear()


def test_the_cookie_is_secure_where_the_server_speaks_https(serving: Callable[..., Running]) -> None:
    behind = serving(behind_tls=True)
    answer = behind.client.post("/v1/session", json={"key": behind.keys["read"]})
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_whoever_is_signed_in_reads_and_writes_from_our_pages(page: TestClient) -> None:
    assert page.get("/v1/session").json()["scopes"] == ["admin"]
    event = {"user": "u", "item": "a-1"}
    assert page.post("/v1/events", json=event, headers=ORIGIN).status_code == 200
    assert page.post("/v1/events", json=event, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", **ORIGIN},
        {"Sec-Fetch-Site": "cross-site", **ORIGIN},
    ],
)
def test_a_page_of_another_site_writes_nothing_with_a_sign_in(page: TestClient, headers: dict[str, str]) -> None:
    assert page.post("/v1/events", json={"user": "u", "item": "a-1"}, headers=headers).status_code == 403
    assert page.get("/v1/items", headers=headers).status_code == 200


def test_signing_out_ends_the_sign_in(page: TestClient) -> None:
    page.delete("/v1/session")
    assert page.get("/v1/session").status_code == 401


def test_a_sign_in_ends_with_its_key(two: Running) -> None:
    made = two.client.post("/v1/keys", json={"name": "x", "scopes": ["read"]}, headers=two.headers()).json()
    two.client.post("/v1/session", json={"key": made["key"]})
    assert two.client.get("/v1/session").status_code == 200
    two.client.delete(f"/v1/keys/{made['prefix']}", headers=two.headers())
    assert two.client.get("/v1/session").status_code == 401
    two.client.cookies.clear()


def test_cookies_that_were_changed_or_are_old_are_refused() -> None:
    now = [1000.0]
    sessions = Sessions(SECRET, 60.0, clock=lambda: now[0])
    _, key = make_key("x", ["read"])
    cookie = sessions.sign(key)
    assert sessions.read(cookie) == key.prefix
    later = cookie.replace("1060", "9999")
    for bad in (later, cookie + "x", "", "..", "a.b", cookie.replace(key.prefix, "0" * 12), "é.9.é"):
        with pytest.raises(AuthError, match="not valid"):
            sessions.read(bad)
    with pytest.raises(AuthError, match="not valid"):
        Sessions(bytes(32), 60.0, clock=lambda: now[0]).read(cookie)
    now[0] = 1061.0
    with pytest.raises(AuthError, match="expired"):
        sessions.read(cookie)


def test_the_secret_of_sign_ins_is_made_once_and_for_its_owner_alone(tmp_path) -> None:
    path = tmp_path / "session.key"
    secret = session_secret(path)
    assert len(secret) == 32
    assert session_secret(path) == secret
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"short")
    with pytest.raises(SettingError, match="too short"):
        session_secret(path)


# -- browsers ----------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_that_browsers_need(two: Running) -> None:
    for path in ("/v1/items", "/nothing", "/health/live", "/api/items"):
        headers = two.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-request-id"]


def test_other_origins_are_let_in_only_where_they_are_named(two: Running, serving: Callable[..., Running]) -> None:
    asks = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in two.client.options("/v1/recommend", headers=asks).headers
    named = serving(cors=("https://shop.example",))
    told = named.client.options("/v1/recommend", headers=asks)
    assert told.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-credentials" not in told.headers
    assert told.headers["x-request-id"]
    other = named.client.options("/v1/recommend", headers={**asks, "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_no_log_line_and_no_error_holds_a_key(two: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = root.level
    root.setLevel(logging.DEBUG)
    text = two.keys["admin"]
    secret = text.split("_", 2)[2]

    def fails(language: str) -> None:
        raise RuntimeError(f"told by mistake: {text}")

    monkeypatch.setattr(two.service, "quality", fails)
    try:
        answers = [
            two.client.get("/v1/quality", headers=two.headers()),
            two.client.get(f"/v1/items/{text}", headers=two.headers()),
            two.client.get("/v1/items", params={text: text}, headers=two.headers()),
            two.client.post("/v1/recommend", json={text: text}, headers=two.headers()),
            two.client.post("/v1/recommend", json={"filter": text}, headers=two.headers()),
            two.client.post("/v1/session", json={"key": text + "x"}),
            two.client.get(f"/{text}"),
            two.client.get("/api/items", headers={"X-API-Key": text + "x"}),
        ]
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert [answer.status_code for answer in answers] == [500, 404, 422, 422, 400, 401, 404, 401]
    lines = stream.getvalue()
    assert secret not in lines
    assert "told by mistake" in lines
    assert not [answer.text for answer in answers if secret in answer.text]
    records = [json.loads(line) for line in lines.splitlines()]
    assert {record.get("request_id") for record in records} >= {answer.headers["x-request-id"] for answer in answers}


def test_a_key_in_a_text_is_hidden_but_for_its_public_part() -> None:
    text, key = make_key("x", ["read"])
    assert hide(f"a {text} b") == f"a salon_{key.prefix}_... b"
