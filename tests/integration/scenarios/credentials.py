"""Who the client is: user names and passwords, enhanced authentication, what an access list refuses."""

from lib import wire
from lib.case import scenario
from lib.wire import V31, V311, V5

METHOD, DATA = 'auth_method', 'auth_data'


def refusals(version):
    """What mosquitto says to wrong credentials: the code is its own, the chain only carries it."""
    return {V31: [4, 5], V311: [4, 5], V5: [0x86, 0x87]}[version]


@scenario(broker='password')
def the_password_file_decides(t):
    """The right password opens, a wrong one, an unknown user and none at all do not; bytes beyond ASCII count."""
    for user, password, is_right in (
            ('alice', b'secret', True), ('alice', b'Secret', False), ('alice', b'', False), ('alice', None, False),
            ('nobody', b'secret', False), ('zoë', 'pässwörd'.encode(), True), ('zoë', b'passwort', False),
            ('spaced name', b'a b c', True), ('', b'', False), (None, None, False)):
        if password is not None and user is None:
            continue
        c = t.client(f'{user}:{password}')
        c.send(wire.connect(t.version, c.client_id, username=user, password=password))
        got = c.expect('CONNACK')
        assert got.code == 0 if is_right else got.code in refusals(t.version), (user, password, got)
        if is_right:
            c.fence()
            c.disconnect()
        else:
            c.expect_closed()


@scenario(broker='password')
def the_access_list_is_told_as_the_broker_tells_it(t):
    """A forbidden PUBLISH: 5 says 0x87 in its PUBACK, 3.x hears a PUBACK; the message reaches nobody, an allowed one does."""
    sub = t.connected('sub', username='alice', password=b'secret')
    sub.subscribe(('forbidden/#', 1), (t.topic('#'), 1))
    c = t.connected('c', username='alice', password=b'secret')
    c.publish(t.topic('allowed'), b'yes', 1)
    sub.receive(t.topic('allowed'), 'yes')
    c.send(wire.publish(t.version, 'forbidden/a', b'no', 1, 7))
    c.expect('PUBACK', packet_id=7, code=0x87 if t.version == V5 else 0)
    c.expect_closed_by_broker(t.farewell(None))       # mosquitto 2.0 does that
    sub.fence()


@scenario(V311, V5, broker='plugin')
def credentials_reach_the_broker_byte_for_byte(t):
    """What the plugin saw is what was sent: long ones, UTF-8, a password of every byte but 0, a refused user."""
    seen = []
    for user, password in (('u' * 65535, b'p' * 65535), ('üser/+#$', 'pässwörd'.encode()),
                           ('u', bytes(range(1, 256))), ('user only', None), ('nobody', b'x')):
        c = t.client(f'{user[:8]}')
        c.send(wire.connect(t.version, c.client_id, username=user, password=password))
        got = c.expect('CONNACK')
        assert (got.code == 0) == (user != 'nobody'), got
        seen.append(' '.join(['', '=' + c.client_id.encode().hex(), '=' + user.encode().hex(),
                              '-' if password is None else '=' + password.hex()]))
    with open(t.world.broker.record, encoding='ascii') as record:
        recorded = [line.rstrip('\n') for line in record if line.split()[0][1:].startswith(b'credentials'.hex())]
    assert recorded[-len(seen):] == seen, 'the plugin saw something else'


@scenario(V5, broker='plugin')
def enhanced_authentication_goes_back_and_forth(t):
    """CONNECT, AUTH 0x18 in several rounds, CONNACK with the last data; then the session works."""
    for rounds in (0, 1, 5):
        c = t.client('c')
        c.send(wire.connect(V5, c.client_id, properties=[(METHOD, 'challenge'), (DATA, b'\0I am c')]))
        c.expect('AUTH', code=0x18, auth_method='challenge', auth_data=b'prove: \0I am c')
        for _ in range(rounds):
            c.send(wire.auth(0x18, [(METHOD, 'challenge'), (DATA, b'more')]))
            c.expect('AUTH', code=0x18, auth_data=b'prove again')
        c.send(wire.auth(0x18, [(METHOD, 'challenge'), (DATA, b'proof')]))
        c.expect('CONNACK', code=0, auth_method='challenge', auth_data=b'welcome')
        c.subscribe((t.topic('a'), 1))
        c.disconnect()


@scenario(V5, broker='plugin')
def enhanced_authentication_may_refuse(t):
    """In the first step, in a later one, for an unknown method: the broker's code comes as CONNACK, then the end."""
    for method, first, then in (('one-step', b'wrong', None), ('challenge', b'x', b'a lie'), ('unheard-of', b'', None)):
        c = t.client(f'{method} {first}')
        c.send(wire.connect(V5, c.client_id, properties=[(METHOD, method), (DATA, first)]))
        if then is not None:
            c.expect('AUTH', code=0x18)
            c.send(wire.auth(0x18, [(METHOD, method), (DATA, then)]))
        got = c.next()
        c.note(repr(got))
        assert got == 'closed' or got.kind in ('CONNACK', 'DISCONNECT') and got.code >= 0x80, got
        if got != 'closed':
            c.expect_closed()


@scenario(V5, broker='plugin')
def a_client_may_authenticate_again(t):
    """AUTH 0x19 within the session, as often as it likes; a lie ends the session."""
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id, properties=[(METHOD, 'challenge'), (DATA, b'first')]))
    c.expect('AUTH', code=0x18)
    c.send(wire.auth(0x18, [(METHOD, 'challenge'), (DATA, b'proof')]))
    c.expect('CONNACK', code=0)
    c.subscribe((t.topic('a'), 1))
    c.send(wire.auth(0x19, [(METHOD, 'challenge'), (DATA, b'again')]))
    c.expect('AUTH', code=0x18, auth_data=b'prove: again')
    c.send(wire.auth(0x18, [(METHOD, 'challenge'), (DATA, b'proof')]))
    c.expect('AUTH', code=0, auth_method='challenge', auth_data=b'welcome')
    c.fence()
    c.send(wire.auth(0x19, [(METHOD, 'challenge'), (DATA, b'once more')]))
    c.expect('AUTH', code=0x18)
    c.send(wire.auth(0x18, [(METHOD, 'challenge'), (DATA, b'a lie')]))
    # mosquitto 2.0 answers with a CONNACK in the middle of the session, which the proxies do not hand to a client
    c.expect_end([0x87] if not t.is_chain else [0x87, 0x82, 0x8B])
