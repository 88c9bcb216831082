"""Tokens: what a gate admits, and everything it refuses.

joserfc is the independent implementation: it makes the tokens that the gate reads, and reads
the tokens that `mint` makes.
"""

import base64
import hmac
import json
import logging
import warnings

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt as jose
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from triolet._model.errors import ConfigurationError, ErrorCode, Refusal, StoreUnavailable
from triolet._model.limits import Limits
from triolet.adapters.tokens import (
    SigningKeys,
    SigningKeysFile,
    TokenGate,
    mint,
    new_signing_key,
    read_signing_keys,
    write_claims,
)
from triolet.adapters.tokens.jwks import JWKS_CHECK_S
from triolet.adapters.tokens.jwt import (
    Claims,
    Parts,
    decode_segment,
    encode_segment,
    read_claims,
    take_apart,
)
from triolet.adapters.tokens.keys import UNNAMED_KEYS_MAX, keys_of_pem
from triolet.adapters.tokens.signing import SETTLE_MS
from triolet.ports.gate import FOREVER, Action, Identity, Opening

SECRET = b"a secret of thirty-two bytes and more"
NOW = 1_800_000_000_000
NOW_S = NOW // 1000
LEEWAY_S = 30
OPENING = Opening()


class SetClock:
    def __init__(self, ms=NOW):
        self.ms = ms

    def now_ms(self):
        return self.ms


def make_gate(secret=SECRET, clock=None, **how):
    return TokenGate(
        clock=clock or SetClock(), limits=Limits(token_leeway_s=LEEWAY_S), secret=secret, **how
    )


def segment(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(claims, secret=SECRET, **header):
    """Sign whatever is given, however wrong: joserfc would refuse some of it."""
    head = segment({"alg": "HS256", "typ": "JWT"} | header)
    signing_input = f"{head}.{segment(claims)}"
    return f"{signing_input}.{segment(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def good_claims(**more):
    return {"sub": "anna", "exp": NOW_S + 60} | more


def signed(key, algorithm, claims=None, **header):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc prefers the new name of EdDSA
        return jose.encode(
            {"alg": algorithm} | header, claims or good_claims(), key, algorithms=[algorithm]
        )


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def refusal(gate, token):
    with pytest.raises(Refusal) as caught:
        await gate.admit(token, OPENING)
    assert "anna" not in str(caught.value)
    return caught.value.code


def outcome(function, *args):
    """What a call returned, or the code it refused with; nothing else may be raised."""
    try:
        return function(*args)
    except Refusal as refused:
        return refused.code


INVALID = ErrorCode.TOKEN_INVALID

# One pair of each kind; RSA takes 50 ms to make.
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PAIRS = {
    "RS256": (RSA, RSAKey.import_key(private_pem(RSA))),
    "ES256": (EC, ECKey.import_key(private_pem(EC))),
    "EdDSA": (ED, OKPKey.import_key(private_pem(ED))),
    "Ed25519": (ED, OKPKey.import_key(private_pem(ED))),
}


class TestClaims:
    async def test_every_claim_reaches_the_identity(self):
        """What a token says is what the engine knows, times in milliseconds."""
        claims = good_claims(
            iat=NOW_S - 5, tier="service", roles=["admin", "bot"], device="phone", jti="t-1"
        )

        admitted = await make_gate().admit(hs256(claims), OPENING)

        assert admitted == Identity(
            user="anna",
            expires_at=NOW + 60_000,
            issued_at=NOW - 5_000,
            roles=("admin", "bot"),
            tier="service",
            device="phone",
            token_id="t-1",
        )

    async def test_only_sub_and_exp_are_required(self):
        admitted = await make_gate().admit(hs256(good_claims(unknown={"x": [1]})), OPENING)

        assert admitted == Identity(user="anna", expires_at=NOW + 60_000)

    async def test_no_session_outlives_the_year_9999(self):
        admitted = await make_gate().admit(hs256(good_claims(exp=1e300)), OPENING)

        assert admitted.expires_at == FOREVER

    @pytest.mark.parametrize("token", [None, ""])
    async def test_no_token_is_unauthenticated(self, token):
        assert await refusal(make_gate(), token) == ErrorCode.UNAUTHENTICATED

    @pytest.mark.parametrize(
        "claims",
        [
            {"exp": NOW_S + 60},
            {"sub": "anna"},
            good_claims(sub=""),
            good_claims(sub="anna:b"),
            good_claims(sub="a" * 65),
            good_claims(sub="anna\n"),
            good_claims(sub=7),
            good_claims(sub=None),
            good_claims(exp="1"),
            good_claims(exp=None),
            good_claims(exp=True),
            good_claims(exp=10**400),
            good_claims(iat="now"),
            good_claims(iat=None),
            good_claims(roles="admin"),
            good_claims(roles=[1]),
            good_claims(roles=["r"] * 65),
            good_claims(roles=["r" * 129]),
            good_claims(tier=1),
            good_claims(device="two words"),
            good_claims(jti=["x"]),
            [],
            "anna",
            b"",
            b"\xff\xfe",
            b"{",
            b'{"sub":"anna","exp":NaN}',
            b'{"sub":"anna","exp":1e999}',
            b'{"sub":"anna","exp":1,"roles":' + b"[" * 3000 + b"]" * 3000 + b"}",
        ],
    )
    async def test_claims_that_are_missing_or_malformed_are_invalid(self, claims):
        """A good signature does not excuse what was signed."""
        assert await refusal(make_gate(), hs256(claims)) == INVALID

    async def test_nesting_in_an_unknown_claim_is_refused_or_ignored(self):
        """How deep a decoder can follow is the interpreter's affair; what it raises is ours."""
        claims = b'{"sub":"anna","exp":1,"x":' + b"[" * 3000 + b"]" * 3000 + b"}"

        assert await refusal(make_gate(), hs256(claims)) in (INVALID, ErrorCode.TOKEN_EXPIRED)


class TestTimes:
    async def test_a_session_ends_with_its_token(self):
        clock = SetClock(NOW + 60_000 - 1)

        admitted = await make_gate(clock=clock).admit(hs256(good_claims()), OPENING)

        assert admitted.expires_at == NOW + 60_000

    @pytest.mark.parametrize("late_ms", [0, 1, LEEWAY_S * 1000 - 1])
    async def test_within_the_leeway_the_session_is_given_the_leeway(self, late_ms):
        """Otherwise it would be closed in the moment it is opened."""
        clock = SetClock(NOW + 60_000 + late_ms)

        admitted = await make_gate(clock=clock).admit(hs256(good_claims()), OPENING)

        assert admitted.expires_at == NOW + (60 + LEEWAY_S) * 1000
        assert admitted.expires_at > clock.ms

    @pytest.mark.parametrize("exp", [NOW_S - LEEWAY_S, NOW_S - 86_400, 0, -5, -1e300])
    async def test_beyond_the_leeway_a_token_has_expired(self, exp):
        assert await refusal(make_gate(), hs256(good_claims(exp=exp))) == ErrorCode.TOKEN_EXPIRED

    async def test_a_forgery_is_not_told_that_it_has_expired(self):
        """`token_expired` is for tokens of ours: a client comes back with a new one."""
        forged = hs256(good_claims(exp=1), secret=b"x" * 32)

        assert await refusal(make_gate(), forged) == INVALID

    @pytest.mark.parametrize("claim", ["iat", "nbf"])
    async def test_the_future_begins_beyond_the_leeway(self, claim):
        gate = make_gate()
        await gate.admit(hs256(good_claims(**{claim: NOW_S + LEEWAY_S})), OPENING)

        later = hs256(good_claims(**{claim: NOW_S + LEEWAY_S + 0.001}))
        assert await refusal(gate, later) == INVALID


class TestRevocation:
    @staticmethod
    def gate_with(not_before):
        asked = []

        async def revoked(user):
            await trio.lowlevel.checkpoint()
            asked.append(user)
            return not_before

        return make_gate(revoked=revoked), asked

    async def test_nothing_revoked_needs_no_iat(self):
        gate, asked = self.gate_with(0)

        await gate.admit(hs256(good_claims()), OPENING)

        assert asked == ["anna"]

    async def test_tokens_made_before_count_no_more(self):
        """A token made in the very millisecond of the revocation, or later, is a new one."""
        gate, _ = self.gate_with(NOW)

        old = mint(SECRET, "anna", ttl_s=60, now_ms=NOW - 1)
        assert await refusal(gate, old) == INVALID
        new = await gate.admit(mint(SECRET, "anna", ttl_s=60, now_ms=NOW), OPENING)
        assert new.issued_at == NOW

    async def test_a_token_without_iat_cannot_be_newer(self):
        gate, _ = self.gate_with(1)

        assert await refusal(gate, hs256(good_claims())) == INVALID

    async def test_who_has_no_good_token_costs_no_look_at_the_store(self):
        gate, asked = self.gate_with(0)

        await refusal(gate, hs256(good_claims(), secret=b"x" * 32))
        await refusal(gate, hs256(good_claims(exp=1)))

        assert asked == []

    async def test_an_unreachable_store_admits_nobody(self):
        async def revoked(user):
            raise StoreUnavailable("down")

        with pytest.raises(StoreUnavailable):
            await make_gate(revoked=revoked).admit(hs256(good_claims()), OPENING)


class TestFamilies:
    """A token may say which of its user's sign-ins it comes from (`sid`)."""

    async def test_it_is_told_and_looked_for_among_what_is_revoked(self):
        asked = []

        async def revoked(*subjects):
            await trio.lowlevel.checkpoint()
            asked.append(subjects)
            return NOW if "sid:anna:f2" in subjects else 0

        gate = make_gate(revoked=revoked)
        token, other = (
            mint(SECRET, "anna", ttl_s=60, now_ms=NOW - 1, family=one) for one in ("f1", "f2")
        )

        assert (await gate.admit(token, OPENING)).family == "f1"
        assert await refusal(gate, other) == INVALID
        assert asked == [("anna", "sid:anna:f1"), ("anna", "sid:anna:f2")]

    def test_at_once_it_is_looked_for_as_well(self):
        gate = make_gate(revoked=lambda *_: None, revoked_now=lambda *subjects: len(subjects))
        token = mint(SECRET, "anna", ttl_s=60, now_ms=NOW, family="f1")

        assert gate.admit_now(token, OPENING).family == "f1"

    @pytest.mark.parametrize("sid", [7, None, ["f1"], "f:1", "f" * 129, "ö"])
    async def test_an_issuers_own_idea_of_it_is_passed_over(self, sid):
        assert (await make_gate().admit(hs256(good_claims(sid=sid)), OPENING)).family == ""


class TestAtOnce:
    """`admit_now` judges as `admit` does, where whether a token was revoked is in memory."""

    @staticmethod
    def gate_with(not_before):
        async def revoked(user):
            raise AssertionError(f"{user} was asked for")

        return make_gate(revoked=revoked, revoked_now={"anna": not_before}.get)

    async def test_a_good_token_is_admitted_alike(self):
        token = mint(SECRET, "anna", ttl_s=60, now_ms=NOW, tier="service", roles=("a",))

        assert make_gate().admit_now(token, OPENING) == await make_gate().admit(token, OPENING)
        assert self.gate_with(NOW).admit_now(token, OPENING).user == "anna"

    def test_what_is_not_in_memory_is_waited_for(self):
        token = mint(SECRET, "anna", ttl_s=60, now_ms=NOW)

        assert self.gate_with(None).admit_now(token, OPENING) is None
        assert make_gate(revoked=lambda _: None).admit_now(token, OPENING) is None

    @pytest.mark.parametrize(
        ("token", "code"),
        [
            (None, ErrorCode.UNAUTHENTICATED),
            ("x", ErrorCode.TOKEN_INVALID),
            (mint(SECRET, "anna", ttl_s=60, now_ms=NOW - 1), ErrorCode.TOKEN_INVALID),
            (mint(SECRET, "anna", ttl_s=60, now_ms=NOW - 1_000_000), ErrorCode.TOKEN_EXPIRED),
        ],
    )
    def test_others_are_refused_alike(self, token, code):
        with pytest.raises(Refusal) as refused:
            self.gate_with(NOW).admit_now(token, OPENING)

        assert refused.value.code is code


class TestForm:
    """Malformed anything is invalid, never an exception of another kind."""

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda t: "x",
            lambda t: "..",
            lambda t: t + ".",
            lambda t: t + "=",
            lambda t: t + "\n",
            lambda t: " " + t,
            lambda t: t.replace(".", ".."),
            lambda t: t.rpartition(".")[0],
            lambda t: t.rpartition(".")[0] + ".",
            lambda t: t + ".x.y",
            lambda t: "é" + t[1:],
            lambda t: t + "A" * 8192,
            lambda t: json.dumps({"payload": t}),
            lambda t: "!" + t[1:],
        ],
    )
    async def test_not_a_compact_token(self, spoil):
        assert await refusal(make_gate(), spoil(hs256(good_claims()))) == INVALID

    @pytest.mark.parametrize(
        "header",
        [b"", b"{", b"[]", b'"HS256"', b"{}", b'{"alg":1}', b'{"alg":"HS256","kid":1}', b"\xff"],
    )
    async def test_an_unreadable_header(self, header):
        _, rest = hs256(good_claims()).split(".", 1)

        assert await refusal(make_gate(), f"{segment(header)}.{rest}") == INVALID

    @pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": False}])
    async def test_demanded_extensions_are_refused(self, header):
        """RFC 7515 section 4.1.11: who does not understand what is critical must refuse."""
        assert await refusal(make_gate(), hs256(good_claims(), **header)) == INVALID

    @pytest.mark.parametrize("typ", ["jwt", "JWT", "at+jwt", "application/at+jwt"])
    async def test_access_tokens_may_say_so(self, typ):
        await make_gate().admit(hs256(good_claims(), typ=typ), OPENING)

    @pytest.mark.parametrize("typ", ["logout+jwt", "secevent+jwt", "dpop+jwt"])
    async def test_tokens_for_another_purpose_are_refused(self, typ):
        assert await refusal(make_gate(), hs256(good_claims(), typ=typ)) == INVALID

    def test_base64url_has_one_spelling(self):
        assert decode_segment(b"aGk") == b"hi"
        for wrong in (b"aGl", b"aGk=", b"aG k", b"a", b"aGk\n"):
            with pytest.raises(ValueError):
                decode_segment(wrong)

    @settings(deadline=None)
    @given(st.binary(max_size=80))
    def test_segments_round_trip(self, raw):
        assert decode_segment(encode_segment(raw)) == raw

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_whatever_is_admitted_joserfc_admits_too(self, data):
        """A token changed anywhere is refused, or equal to what joserfc reads."""
        gate = make_gate(keys=[public_pem(RSA)])
        token = mint(SECRET, "anna", ttl_s=60, now_ms=NOW)
        at = data.draw(st.integers(0, len(token) - 1))
        end = data.draw(st.integers(at, min(at + 3, len(token))))
        text = data.draw(st.text("ABCZabcz0189-_.=+/ ", max_size=3))
        changed = token[:at] + text + token[end:]
        claims = outcome(lambda: gate._verify(take_apart(changed)))
        if claims == INVALID:
            return
        read = jose.decode(changed, OctKey.import_key(SECRET), algorithms=["HS256"])
        assert (claims.sub, claims.exp) == (read.claims["sub"], read.claims["exp"])

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: f"{segment(raw)}.e30.A"))
    def test_any_text_is_read_or_refused(self, text):
        read = outcome(take_apart, text)

        assert read == INVALID or isinstance(read, Parts)

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_any_payload_is_read_or_refused(self, raw):
        read = outcome(read_claims, encode_segment(raw))

        assert read == INVALID or isinstance(read, Claims)


class TestAlgorithms:
    @pytest.mark.parametrize("algorithm", PAIRS)
    async def test_public_keys_verify_what_joserfc_signs(self, algorithm):
        pair, key = PAIRS[algorithm]
        gate = make_gate(secret=None, keys=[public_pem(pair)])

        admitted = await gate.admit(signed(key, algorithm), OPENING)

        assert admitted.user == "anna"

    @pytest.mark.parametrize("algorithm", PAIRS)
    async def test_another_key_of_the_same_kind_does_not(self, algorithm):
        gate = make_gate(secret=None, keys=[public_pem(PAIRS[algorithm][0])])
        other = {
            "RS256": lambda: RSAKey.generate_key(2048),
            "ES256": lambda: ECKey.generate_key("P-256"),
        }.get(algorithm, lambda: OKPKey.generate_key("Ed25519"))()

        assert await refusal(gate, signed(other, algorithm)) == INVALID

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
    @pytest.mark.parametrize("signature", ["", "AA"])
    async def test_unsigned_tokens_are_refused(self, algorithm, signature):
        gate = make_gate(keys=[public_pem(pair) for pair, _ in PAIRS.values()])
        token = f"{segment({'alg': algorithm})}.{segment(good_claims())}.{signature}"

        assert await refusal(gate, token) == INVALID

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS384", "PS256", "ES512", "hs256"])
    async def test_algorithms_that_are_not_offered_are_refused(self, algorithm):
        gate = make_gate(keys=[public_pem(RSA), public_pem(EC)])

        assert await refusal(gate, hs256(good_claims(), alg=algorithm)) == INVALID

    @pytest.mark.parametrize("secret", [None, SECRET])
    @pytest.mark.parametrize("algorithm", PAIRS)
    async def test_a_public_key_is_never_a_secret(self, algorithm, secret):
        """Algorithm confusion: HS256 with the bytes of a public key that everybody knows."""
        pem = public_pem(PAIRS[algorithm][0])
        gate = make_gate(secret=secret, keys=[pem])
        der = (
            PAIRS[algorithm][0]
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

        for known in (pem, pem.strip(), der, b"", b"\0"):
            assert await refusal(gate, hs256(good_claims(), secret=known)) == INVALID

    async def test_one_kind_of_key_never_serves_another_algorithm(self):
        gate = make_gate(secret=None, keys=[public_pem(pair) for pair, _ in PAIRS.values()])
        for name, (_, key) in PAIRS.items():
            _, payload, signature = signed(key, name).split(".")
            for other in PAIRS:
                if other != name:
                    relabelled = f"{segment({'alg': other})}.{payload}.{signature}"
                    assert await refusal(gate, relabelled) == INVALID

    async def test_without_a_secret_there_is_no_hs256(self):
        gate = make_gate(secret=None, keys=[public_pem(RSA)])

        assert await refusal(gate, hs256(good_claims())) == INVALID

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
    @pytest.mark.parametrize("signature", ["A", "AA", "AAAA", "A" * 86, "A" * 342, "aGl"])
    async def test_signatures_of_a_wrong_shape_are_refused(self, algorithm, signature):
        gate = make_gate(secret=None, keys=[public_pem(pair) for pair, _ in PAIRS.values()])
        token = f"{segment({'alg': algorithm})}.{segment(good_claims())}.{signature}"

        assert await refusal(gate, token) == INVALID

    async def test_keys_offered_by_the_token_itself_are_not_looked_at(self):
        """`jwk`, `jku` and `x5u` let an attacker bring the key along."""
        mine = RSAKey.generate_key(2048)
        gate = make_gate(secret=None, keys=[public_pem(RSA)])
        token = signed(mine, "RS256", jwk=mine.as_dict(private=False), jku="https://evil.example")

        assert await refusal(gate, token) == INVALID


class TestPem:
    def test_a_key_verifies_nothing_but_its_own_algorithm(self):
        (key,) = keys_of_pem(public_pem(ED))

        assert repr(key) == "PublicKey(EdDSA|Ed25519, kid='')"
        assert not key.has_signed("RS256", b"", b"")
        assert not key.has_signed("none", b"", b"")

    async def test_one_file_may_hold_several_keys_of_several_kinds(self):
        """The old and the new key of a rotation; PEM keys have no names, so `kid` is moot."""
        old = RSAKey.generate_key(2048)
        gate = make_gate(secret=None, keys=[public_pem(RSA) + old.as_pem(False) + public_pem(EC)])

        for key, algorithm in (
            (old, "RS256"),
            (PAIRS["RS256"][1], "RS256"),
            (PAIRS["ES256"][1], "ES256"),
        ):
            await gate.admit(signed(key, algorithm, kid="whatever"), OPENING)
            await gate.admit(signed(key, algorithm), OPENING)

    @pytest.mark.parametrize(
        ("pem", "words"),
        [
            (b"", "no PEM public key"),
            (b"ssh-rsa AAAA", "no PEM public key"),
            (private_pem(RSA), "private"),
            (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "broken"),
            (public_pem(ec.generate_private_key(ec.SECP384R1())), "P-256"),
            (public_pem(rsa.generate_private_key(65537, 1024)), "2048"),
            (public_pem(ED) * (UNNAMED_KEYS_MAX + 1), "more than"),
        ],
    )
    def test_what_cannot_verify_is_refused_at_the_start(self, pem, words):
        with pytest.raises(ConfigurationError, match=words) as caught:
            make_gate(keys=[pem])
        assert "BEGIN" not in str(caught.value)


class TestJwks:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "jwks.json"

    @staticmethod
    def jwk(key, **more):
        return key.as_dict(private=False) | more

    @staticmethod
    def write(path, *keys):
        """Replace the file at once, as an issuer's agent does."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"keys": list(keys)}))
        fresh.replace(path)

    def gate(self, path, *keys, **how):
        self.write(path, *keys)
        return make_gate(secret=None, jwks=path, **how)

    async def test_kid_chooses_the_key(self, path):
        one, two = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
        gate = self.gate(path, self.jwk(one, kid="one"), self.jwk(two, kid="two"))

        await gate.admit(signed(one, "EdDSA", kid="one"), OPENING)
        await gate.admit(signed(two, "Ed25519", kid="two"), OPENING)
        assert await refusal(gate, signed(one, "EdDSA", kid="two")) == INVALID
        assert await refusal(gate, signed(one, "EdDSA", kid="three")) == INVALID
        assert await refusal(gate, signed(one, "EdDSA")) == INVALID

    async def test_a_token_without_kid_fits_the_only_key_of_its_algorithm(self, path):
        ed, ec_key = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")
        gate = self.gate(path, self.jwk(ed, kid="1"), self.jwk(ec_key, kid="2"))

        await gate.admit(signed(ed, "EdDSA"), OPENING)
        await gate.admit(signed(ec_key, "ES256"), OPENING)

    async def test_a_kid_does_not_lend_a_key_to_another_algorithm(self, path):
        gate = self.gate(path, self.jwk(PAIRS["RS256"][1], kid="k"))
        public = public_pem(RSA)

        assert await refusal(gate, hs256(good_claims(), secret=public, kid="k")) == INVALID
        assert await refusal(gate, signed(PAIRS["ES256"][1], "ES256", kid="k")) == INVALID

    async def test_keys_for_other_purposes_are_left_out(self, path):
        """RFC 7517 section 5: what is not understood is ignored, the rest still serves."""
        ed = OKPKey.generate_key("Ed25519")
        odd = [
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
            {"kty": ["RSA"]},
            {"kty": "OKP", "crv": 7},
            self.jwk(ECKey.generate_key("P-384"), kid="p384"),
            self.jwk(PAIRS["RS256"][1], kid="enc", use="enc"),
            self.jwk(PAIRS["RS256"][1], kid="sign-only", key_ops=["sign"]),
            self.jwk(PAIRS["RS256"][1], kid="pss", alg="PS256"),
        ]
        gate = self.gate(path, *odd, self.jwk(ed, kid="good", alg="EdDSA"))

        await gate.admit(signed(ed, "EdDSA", kid="good"), OPENING)
        for kid in ("enc", "sign-only", "pss"):
            assert await refusal(gate, signed(PAIRS["RS256"][1], "RS256", kid=kid)) == INVALID
        assert await refusal(gate, signed(ed, "Ed25519", kid="good")) == INVALID

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", "no JWK set"),
            ("[]", "no JWK set"),
            ('{"keys": 1}', "no JWK set"),
            ('{"keys": []}', "no key"),
            ('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}', "not public"),
            (json.dumps({"keys": [PAIRS["EdDSA"][1].as_dict(private=True)]}), "not public"),
            ('{"keys": [{"kty": "RSA", "n": "AQ", "e": "!"}]}', "broken"),
            ('{"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]}', "broken"),
            ('{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": 1, "x": "AQ"}]}', "kid"),
            (json.dumps({"keys": [PAIRS["EdDSA"][1].as_dict(kid="k")] * 2}), "two .* called"),
            (json.dumps({"keys": [{}] * 65}), "more than 64"),
            (" " * (256 * 1024 + 1), "larger"),
            ("[" * 100_000, "no JWK set"),
        ],
    )
    def test_what_cannot_serve_is_refused_at_the_start(self, path, content, words):
        path.write_text(content)

        with pytest.raises(ConfigurationError, match=words) as caught:
            make_gate(jwks=path)
        assert "c2VjcmV0" not in str(caught.value)

    def test_a_missing_file_is_refused_at_the_start(self, path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            make_gate(jwks=path)

    async def test_a_rotation_is_seen_within_the_interval(self, path, mock_clock):
        """The file is read again when it changed, and looked at every few seconds only."""
        old, new = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
        gate = self.gate(path, self.jwk(old, kid="old"))
        await gate.admit(signed(old, "EdDSA", kid="old"), OPENING)
        self.write(path, self.jwk(new, kid="new"))

        mock_clock.jump(JWKS_CHECK_S - 0.01)
        assert await refusal(gate, signed(new, "EdDSA", kid="new")) == INVALID
        mock_clock.jump(0.02)
        await gate.admit(signed(new, "EdDSA", kid="new"), OPENING)
        assert await refusal(gate, signed(old, "EdDSA", kid="old")) == INVALID

    @pytest.mark.parametrize("content", [None, "{", '{"keys": [{"kty": "oct", "k": "eA"}]}'])
    async def test_a_spoiled_file_leaves_the_keys_and_is_told_once(
        self, path, mock_clock, caplog, content
    ):
        key = OKPKey.generate_key("Ed25519")
        gate = self.gate(path, self.jwk(key, kid="k"))
        token = signed(key, "EdDSA", kid="k")
        if content is None:
            path.unlink()
        else:
            path.write_text(content)

        with caplog.at_level(logging.INFO, "triolet.tokens"):
            for _ in range(3):
                mock_clock.jump(JWKS_CHECK_S)
                await gate.admit(token, OPENING)
            assert len(caplog.records) == 1
            self.write(path)
            mock_clock.jump(JWKS_CHECK_S)
            assert await refusal(gate, token) == INVALID

    async def test_pem_keys_serve_beside_it(self, path):
        key = OKPKey.generate_key("Ed25519")
        gate = self.gate(path, self.jwk(key, kid="k"), keys=[public_pem(EC)])

        await gate.admit(signed(key, "EdDSA", kid="k"), OPENING)
        await gate.admit(signed(PAIRS["ES256"][1], "ES256"), OPENING)


class TestWhoItIsFor:
    async def test_issuer_and_audience_must_match_when_configured(self):
        gate = make_gate(issuer="https://id.example", audience=("chat", "chat-beta"))
        fits = good_claims(iss="https://id.example", aud=["other", "chat"])

        await gate.admit(hs256(fits), OPENING)
        await gate.admit(hs256(fits | {"aud": "chat-beta"}), OPENING)
        for wrong in ({"iss": ""}, {"iss": "https://evil.example"}, {"aud": "other"}, {"aud": []}):
            assert await refusal(gate, hs256(fits | wrong)) == INVALID

    async def test_a_token_for_somebody_else_is_refused_by_default(self):
        """RFC 7519 section 4.1.3: who does not identify with `aud` must reject."""
        assert await refusal(make_gate(), hs256(good_claims(aud="billing"))) == INVALID


class TestConfiguration:
    @pytest.mark.parametrize("secret", [b"", b"x" * 31])
    def test_short_secrets_are_refused(self, secret):
        with pytest.raises(ConfigurationError, match="32"):
            make_gate(secret=secret)
        with pytest.raises(ConfigurationError, match="32"):
            mint(secret, "anna", ttl_s=1, now_ms=NOW)

    def test_a_pem_file_is_no_secret(self):
        with pytest.raises(ConfigurationError, match="PEM"):
            make_gate(secret=public_pem(RSA))

    def test_no_key_at_all_is_refused(self):
        with pytest.raises(ConfigurationError, match="neither"):
            make_gate(secret=None)

    def test_no_secret_is_shown(self):
        text = repr(make_gate(keys=[public_pem(RSA)]))

        assert SECRET.decode() not in text
        assert text == "TokenGate(HS256, pem=KeyRing(RS256: 1), jwks=None)"

    def test_the_gate_leaves_what_one_may_do_to_the_engine(self):
        who = Identity(user="anna", expires_at=FOREVER)

        assert make_gate().may(who, Action.WRITE, room="r") is None


class TestMint:
    async def test_what_is_minted_is_admitted(self):
        gate = make_gate(issuer="me", audience=("chat",))
        token = mint(
            SECRET, "anna", ttl_s=60, now_ms=NOW + 1, tier="service", roles=("admin",),
            device="cli", token_id="j", issuer="me", audience="chat",
        )  # fmt: skip

        assert await gate.admit(token, OPENING) == Identity(
            user="anna",
            expires_at=NOW + 60_001,
            issued_at=NOW + 1,
            roles=("admin",),
            tier="service",
            device="cli",
            token_id="j",
        )

    def test_joserfc_reads_it(self):
        token = mint(SECRET, "anna", ttl_s=60, now_ms=NOW, roles=("a",))

        read = jose.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"])

        assert read.header == {"alg": "HS256", "typ": "JWT"}
        assert read.claims == {"sub": "anna", "iat": NOW_S, "exp": NOW_S + 60, "roles": ["a"]}
        with pytest.raises(JoseError):
            jose.decode(token, OctKey.import_key(b"x" * 32), algorithms=["HS256"])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"user": "an na"},
            {"user": ""},
            {"ttl_s": 0},
            {"ttl_s": -1},
            {"ttl_s": float("nan")},
            {"device": "two words"},
            {"roles": ("r" * 129,)},
        ],
    )
    def test_what_no_gate_would_admit_is_not_minted(self, wrong):
        with pytest.raises(ValueError):
            mint(SECRET, **({"user": "anna", "ttl_s": 1, "now_ms": NOW} | wrong))

    def test_a_token_ends_with_the_year_9999_at_the_latest(self):
        token = mint(SECRET, "anna", ttl_s=1e15, now_ms=NOW)

        assert read_claims(take_apart(token).payload).exp * 1000 == FOREVER


class TestSigningKeys:
    """Keys of one's own: the newest that all know signs, all of them verify."""

    @pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
    async def test_a_new_key_beside_the_old_ones_tokens(self, algorithm):
        old = SigningKeys([new_signing_key("ES256")])
        both = old.rotated(new_signing_key(algorithm, now_ms=NOW), now_ms=NOW)
        claims = write_claims("anna", ttl_s=60, now_ms=NOW)
        gate = make_gate(secret=None, own=lambda: both.ring)
        fresh = both.sign(claims, now_ms=NOW + SETTLE_MS)
        for token in (old.sign(claims, now_ms=NOW), fresh):
            assert (await gate.admit(token, OPENING)).user == "anna"
        only_old = make_gate(secret=None, own=lambda: old.ring)
        assert await refusal(only_old, fresh) == INVALID
        await only_old.admit(both.sign(claims, now_ms=NOW + SETTLE_MS - 1), OPENING)

    def test_what_has_signed_nothing_for_a_day_goes(self):
        day_ms = 86_400_000
        keys = SigningKeys([new_signing_key("EdDSA")])
        for number in (1, 2, 3, 4):
            at = number * 2 * day_ms
            keys = keys.rotated(new_signing_key("EdDSA", now_ms=at), now_ms=at)
            assert len(keys.public_jwks) == 2
        soon = keys.rotated(new_signing_key("EdDSA", now_ms=at + 1), now_ms=at + 1)
        assert len(soon.public_jwks) == 3

    async def test_a_file_that_changes_is_read_again(self, tmp_path, autojump_clock, caplog):
        path = tmp_path / "keys.json"
        path.write_bytes(SigningKeys([new_signing_key("EdDSA")]).private_set())
        file = SigningKeysFile(path)
        first = file.refresh()
        path.write_bytes(first.rotated(new_signing_key("ES256"), now_ms=0).private_set())
        assert file.refresh() is first
        await trio.sleep(JWKS_CHECK_S)
        second = file.refresh()
        assert len(second.public_jwks) == 2
        path.write_text("{}")
        await trio.sleep(JWKS_CHECK_S)
        assert file.refresh() is second
        assert "stay as they were" in caplog.text

    def test_what_is_written_is_read(self):
        keys = SigningKeys([new_signing_key("EdDSA"), new_signing_key("ES256")])
        again = read_signing_keys(keys.private_set())
        assert again.public_jwks == keys.public_jwks
        assert "d" not in again.public_jwks[0]
        assert again.public_jwks[0]["x"] not in repr(again)

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"[]",
            b'{"keys": []}',
            b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "a"}]}',
            b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA", "kid": "a"}]}',
            b'{"keys": [{"kty": "OKP", "crv": "X25519", "x": "AA", "d": "AA", "kid": "a"}]}',
        ],
    )
    def test_what_cannot_sign_is_refused(self, text):
        with pytest.raises(ConfigurationError):
            read_signing_keys(text)
