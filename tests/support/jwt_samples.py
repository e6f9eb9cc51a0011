#!/usr/bin/python3
"""Tokens good and bad, made by PyJWT (python3-jwt) or by hand, for tests/unit/auth/test_jwt.c.

  jwt_samples.py FOLDER     writes key files into FOLDER and prints a line for each sample, fields separated by tabs:
                            NAME KEYFILE ALGORITHM ISSUER AUDIENCE USER EXPECTED TOKEN
ALGORITHM, ISSUER, AUDIENCE and USER may be empty. EXPECTED is "ok:USER:EXPIRES" or a word of the reason for a refusal.
The time is always NOW."""
import base64
import hashlib
import hmac
import json
import sys

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

NOW = 1_800_000_000
LEEWAY = 30
GOOD = {'sub': 'alice', 'exp': NOW + 100}
OK = f'ok:alice:{NOW + 100 + LEEWAY}'

folder = sys.argv[1]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def number(value, size=None):
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, 'big'))


def write(name, text):
    with open(f'{folder}/{name}', 'w', encoding='utf-8') as file:
        file.write(text)
    return name


def pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def rsa_jwk(key, **more):
    public = key.public_key().public_numbers()
    return {'kty': 'RSA', 'n': number(public.n), 'e': number(public.e), **more}


def ec_jwk(key, crv, size, **more):
    public = key.public_key().public_numbers()
    return {'kty': 'EC', 'crv': crv, 'x': number(public.x, size), 'y': number(public.y, size), **more}


def ed_jwk(key, crv, **more):
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {'kty': 'OKP', 'crv': crv, 'x': b64(raw), **more}


def oct_jwk(secret, **more):
    return {'kty': 'oct', 'k': b64(secret), **more}


def sign(alg, key, claims=None, **header):
    return jwt.encode(GOOD if claims is None else claims, key, algorithm=alg, headers=header or None)


def by_hand(header, claims, signer):
    """What PyJWT would refuse to make."""
    text = f'{b64(header.encode())}.{b64(claims.encode())}'
    return f'{text}.{b64(signer(text.encode()))}'


def say(name, keyfile, expected, token, algorithm='', issuer='', audience='', user=''):
    assert '\t' not in token and '\n' not in token
    print('\t'.join((name, keyfile, algorithm, issuer, audience, user, expected, token)))


RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
P256, P384, P521 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()
SECRET = bytes(range(64))

rsa_pem = write('rsa.pem', pem(RSA))
oct_file = write('oct.json', json.dumps(oct_jwk(SECRET)))
keys = {'rsa': (RSA, rsa_pem), 'p256': (P256, write('p256.pem', pem(P256))), 'p384': (P384, write('p384.pem', pem(P384))),
        'p521': (P521, write('p521.pem', pem(P521))), 'ed25519': (ED25519, write('ed25519.pem', pem(ED25519))),
        'ed448': (ED448, write('ed448.pem', pem(ED448))), 'oct': (SECRET, oct_file)}
jwks = write('jwks.json', json.dumps({'keys': [
    rsa_jwk(OTHER_RSA, kid='other'), rsa_jwk(RSA, kid='rsa', use='sig'), ec_jwk(P256, 'P-256', 32, kid='p256'),
    ec_jwk(P384, 'P-384', 48), ec_jwk(P521, 'P-521', 66, kid='p521', alg='ES512'),
    ed_jwk(ED25519, 'Ed25519', kid='ed'), ed_jwk(ED448, 'Ed448', kid='ed448'),
    rsa_jwk(RSA, kid='encryption', use='enc'), {'kty': 'future', 'kid': 'x'}, oct_jwk(SECRET, kid='oct', alg='HS256')]}))

# ---- every algorithm, by PEM and by JWKS
fits = {'rsa': ('RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'), 'p256': ('ES256',), 'p384': ('ES384',),
        'p521': ('ES512',), 'ed25519': ('EdDSA',), 'ed448': ('EdDSA',), 'oct': ('HS256', 'HS384', 'HS512')}
for kind, algorithms in fits.items():
    for alg in algorithms:
        key, keyfile = keys[kind]
        token = sign(alg, key)
        say(f'{alg} {kind}', keyfile, OK, token)
        say(f'{alg} {kind} pinned', keyfile, OK, token, algorithm=alg)
        head, body, signature = token.split('.')
        say(f'{alg} {kind} other claims', keyfile, 'signature is wrong', f'{head}.{b64(json.dumps({**GOOD, "sub": "bob"}).encode())}.{signature}')
        spoilt = bytearray(base64.urlsafe_b64decode(signature + '=='))
        spoilt[-1] ^= 1
        say(f'{alg} {kind} spoilt', keyfile, 'signature is wrong', f'{head}.{body}.{b64(spoilt)}')
        say(f'{alg} {kind} cut', keyfile, 'signature is wrong', f'{head}.{body}.{b64(spoilt[:-1])}')
        if alg not in ('HS384', 'HS512'):
            say(f'{alg} {kind} of a set', jwks, OK, token)

# ---- a key is for its own algorithms only
public = pem(RSA).encode()
for alg, digest in (('HS256', hashlib.sha256), ('HS512', hashlib.sha512)):
    forged = by_hand(json.dumps({'alg': alg}), json.dumps(GOOD), lambda text, d=digest: hmac.new(public, text, d).digest())
    say(f'{alg} with the public key as its secret', rsa_pem, 'no key for algorithm', forged)
    say(f'{alg} with the public key as its secret, set', write(f'only-{alg}.json', json.dumps({'keys': [rsa_jwk(RSA)]})), 'no key for algorithm', forged)
for none in ('none', 'None', 'NONE', 'nOnE', ''):
    header, claims = b64(json.dumps({'alg': none}).encode()), b64(json.dumps(GOOD).encode())
    say(f'alg {none!r} without signature', rsa_pem, 'not three parts', f'{header}.{claims}.')
    say(f'alg {none!r} with one', rsa_pem, 'is not taken', f'{header}.{claims}.AAAA')
say('alg missing', rsa_pem, 'is not taken', by_hand('{}', json.dumps(GOOD), lambda text: b'xxxx'))
say('alg a number', rsa_pem, 'is not taken', by_hand('{"alg": 5}', json.dumps(GOOD), lambda text: b'xxxx'))
say('RS256 by EC', rsa_pem, 'no key for algorithm', sign('ES256', P256))
say('pinned to another', rsa_pem, 'no key for algorithm', sign('RS512', RSA), algorithm='RS256')
say('pinned in a set', jwks, 'no key for algorithm', sign('HS256', SECRET), algorithm='RS256')
say('HS384 with a key for HS256', jwks, 'no key for algorithm', sign('HS384', SECRET))
say('a key for encryption', jwks, 'no key for algorithm', sign('RS256', RSA, kid='encryption'))
say('ES256 of zeros', keys['p256'][1], 'signature is wrong',
    by_hand('{"alg": "ES256"}', json.dumps(GOOD), lambda text: bytes(64)))  # CVE-2022-21449
say('ES512 signature of 64 bytes', keys['p521'][1], 'signature is wrong',
    by_hand('{"alg": "ES512"}', json.dumps(GOOD), lambda text: bytes(64)))

# ---- keys in the token are not looked at
say('jwk in the header', rsa_pem, 'signature is wrong', sign('RS256', OTHER_RSA, jwk=rsa_jwk(OTHER_RSA)))
say('jku in the header', rsa_pem, 'signature is wrong', sign('RS256', OTHER_RSA, jku='http://127.0.0.1:1/jwks.json'))
say('kid of a file', rsa_pem, 'signature is wrong', sign('RS256', OTHER_RSA, kid='/dev/null'))
say('kid', jwks, OK, sign('RS256', RSA, kid='rsa'))
say('kid of another key', jwks, 'signature is wrong', sign('RS256', RSA, kid='other'))
say('unknown kid', jwks, 'no key for algorithm', sign('RS256', RSA, kid='nobody'))
say('kid, and a key without', jwks, OK, sign('ES384', P384, kid='nobody'))
say('kid a number', jwks, OK, by_hand('{"alg": "HS256", "kid": 5}', json.dumps(GOOD),
                                     lambda text: hmac.new(SECRET, text, 'sha256').digest()))
say('crit', oct_file, 'extensions', sign('HS256', SECRET, crit=['exp']))
say('zip', oct_file, 'extensions', sign('HS256', SECRET, zip='DEF'))


# ---- claims
def claim(name, expected, claims, **more):
    say(name, oct_file, expected, sign('HS256', SECRET, claims), **more)


def raw(name, expected, text):
    say(name, oct_file, expected, by_hand('{"alg": "HS256"}', text, lambda t: hmac.new(SECRET, t, 'sha256').digest()))


claim('without exp', 'ok:alice:0', {'sub': 'alice'})
claim('expired a moment ago', f'ok:alice:{NOW + 1}', {'sub': 'alice', 'exp': NOW - LEEWAY + 1})
claim('expired', 'expired', {'sub': 'alice', 'exp': NOW - LEEWAY})
claim('exp 0', 'expired', {'sub': 'alice', 'exp': 0})
claim('exp with a fraction', f'ok:alice:{NOW + 100 + LEEWAY}', {'sub': 'alice', 'exp': NOW + 100.7})
raw('exp a text', 'is not a time', '{"sub": "alice", "exp": "%d"}' % (NOW + 100))
raw('exp null', 'is not a time', '{"sub": "alice", "exp": null}')
raw('exp huge', 'is not a time', '{"sub": "alice", "exp": 1e300}')
raw('exp twice', 'no JSON object', '{"sub": "alice", "exp": 1, "exp": %d}' % (NOW + 100))
claim('nbf', 'not valid before', {**GOOD, 'nbf': NOW + LEEWAY + 1})
claim('nbf nearly', OK, {**GOOD, 'nbf': NOW + LEEWAY})
claim('iat', 'issued', {**GOOD, 'iat': NOW + LEEWAY + 1})
claim('iat before', OK, {**GOOD, 'iat': NOW - 1000})
claim('iss', OK, {**GOOD, 'iss': 'me'}, issuer='me')
claim('iss missing', 'iss is not', GOOD, issuer='me')
claim('iss of another', 'iss is not', {**GOOD, 'iss': 'you'}, issuer='me')
claim('aud', OK, {**GOOD, 'aud': 'mqtt'}, audience='mqtt')
claim('aud of several', OK, {**GOOD, 'aud': ['web', 'mqtt']}, audience='mqtt')
claim('aud missing', 'aud is not', GOOD, audience='mqtt')
claim('aud of others', 'aud is not', {**GOOD, 'aud': ['web', 'mqtts']}, audience='mqtt')
claim('aud not asked for', OK, {**GOOD, 'aud': 'web'})
claim('sub missing', 'no sub', {'exp': NOW + 100})
claim('sub empty', 'no sub', {**GOOD, 'sub': ''})
raw('sub a number', 'no sub', '{"sub": 5}')
raw('sub with a NUL', 'no JSON object', '{"sub": "alice\\u0000"}')
claim('user', OK, GOOD, user='alice')
claim('another user', 'the user name is', GOOD, user='bob')
claim('beginning of the user', 'the user name is', GOOD, user='alic')
claim('acl', OK, {**GOOD, 'acl': {'publish': ['up/%c', 'both'], 'subscribe': ['down/#', 'both']}})
claim('acl of nothing', OK, {**GOOD, 'acl': {}})
claim('acl a text', 'acl is not an object', {**GOOD, 'acl': 'all'})
claim('acl lists', 'something else than lists', {**GOOD, 'acl': {'publish': 'a'}})
claim('acl bad filter', "acl: 'a#' is not a topic filter", {**GOOD, 'acl': {'subscribe': ['a#']}})
claim('acl a number', 'acl: not a text', {**GOOD, 'acl': {'subscribe': [5]}})
raw('a list', 'no JSON object', '[1]')
raw('not JSON', 'no JSON object', '{"sub": "alice"')
raw('deep', 'no JSON object', '[' * 5000)

# ---- not tokens
good = sign('HS256', SECRET)
for name, text in (('empty', ''), ('a password', 'wonderland'), ('two parts', 'e30.e30'), ('four parts', good + '.e30'),
                   ('an empty part', '.e30.e30'), ('too long', 'e30.' + 'A' * 16384 + '.AAAA')):
    say(name, oct_file, 'not three parts', text)
say('padding', oct_file, 'no base64url', good + '=')
say('blank', oct_file, 'no base64url', good + ' ')
say('header of no JSON', oct_file, 'header is no JSON', 'AAAA.e30.AAAA')
say('a line end in the header', oct_file, 'header is no JSON', good.replace('.', '\u2028.', 1))

# ---- key files that are refused: no token
write('empty', '')
write('private.pem', private_pem(RSA))
write('private.json', json.dumps({**rsa_jwk(RSA), 'd': 'AAAA'}))
write('short.pem', pem(rsa.generate_private_key(65537, 1024)))
write('short.json', json.dumps(oct_jwk(b'0123456789012345678901234567890')))
write('off-curve.json', json.dumps({**ec_jwk(P256, 'P-256', 32), 'x': b64(bytes(31) + b'\1')}))
write('curve.json', json.dumps({**ec_jwk(P256, 'P-256', 32), 'crv': 'P-384'}))
write('alg.json', json.dumps(rsa_jwk(RSA, alg='ES256')))
write('unknown-alg.json', json.dumps(rsa_jwk(RSA, alg='RS1')))
write('no-kty.json', '{}')
write('no-keys.json', '{"keys": []}')
write('bad.json', '{"keys":\n [}')
write('text', 'hello')
write('many.json', json.dumps({'keys': [oct_jwk(SECRET)] * 101}))
