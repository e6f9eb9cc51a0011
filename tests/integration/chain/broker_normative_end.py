"""MQTT 5.0 chapters 3.12 to 3.15, 4.12, 4.13 and their like in 3.1.1, at mqtt-broker: the end of connections, AUTH."""

import base64
import hashlib
import hmac

from lib import wire
from lib.statements import SCRAM_USER, ended, kept, nothing_came, refused, statement
from lib.websocket import BINARY, CONTINUATION, TEXT, WebSocket, frame
from lib.wire import V5

METHOD = 'SCRAM-SHA-256'


class Scram:
    """A client of SCRAM-SHA-256 (RFC 7677), written apart from the broker's."""

    def __init__(self, user=SCRAM_USER[0], password=SCRAM_USER[1]):
        self.bare, self.password = f'n={user},r=client-nonce', password

    def first(self):
        return b'n,,' + self.bare.encode()

    def last(self, challenge):
        fields = dict(field.split('=', 1) for field in challenge.decode().split(','))
        salted = hashlib.pbkdf2_hmac('sha256', self.password.encode(), base64.b64decode(fields['s']), int(fields['i']))
        without_proof = f'c=biws,r={fields["r"]}'
        message = ','.join((self.bare, challenge.decode(), without_proof)).encode()
        key = hmac.digest(salted, b'Client Key', 'sha256')
        signature = hmac.digest(hashlib.sha256(key).digest(), message, 'sha256')
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.signature = hmac.digest(hmac.digest(salted, b'Server Key', 'sha256'), message, 'sha256')
        return f'{without_proof},p={proof}'.encode()

    def check(self, answer):
        assert answer == b'v=' + base64.b64encode(self.signature), answer


def auth(code, *data, method=METHOD):
    return wire.auth(code, [('auth_method', method), *(('auth_data', item) for item in data)])


def scram_client(t, name='c', scram=None, **options):
    """A client half way through its login; and its SCRAM."""
    scram = scram or Scram()
    c = t.client(name)
    c.send(wire.connect(V5, c.client_id, properties=[('auth_method', METHOD), ('auth_data', scram.first())], **options))
    got = c.expect('AUTH', code=0x18, auth_method=METHOD)
    return c, scram, got.prop('auth_data')


def logged_in(t, name='c', **options):
    c, scram, challenge = scram_client(t, name, **options)
    c.send(auth(0x18, scram.last(challenge)))
    got = c.expect('CONNACK', code=0, auth_method=METHOD)
    scram.check(got.prop('auth_data'))
    return c


@statement('3.12.4-1', '3.12.4-1')
def pingreq_is_answered(t):
    """Each of them."""
    c = t.connected('c')
    c.send(wire.pingreq() * 5)
    for _ in range(5):
        c.expect('PINGRESP')


@statement('3.14.4-1 3.14.4-2 3.14.0-1', '3.14.4-1..2')
def disconnect_ends_the_connection(t):
    """The broker closes; what follows is not processed; it says nothing."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('x'), 0))
    c = t.connected('c')
    c.send(wire.publish(t.version, t.topic('x'), b'before'), wire.disconnect(t.version), wire.publish(t.version, t.topic('x'), b'behind'))
    c.expect_closed()
    sub.receive(t.topic('x'), b'before')
    nothing_came(t.connected('pub'), sub)


@statement('3.14.2-1 3.14.2-2 3.14.4-1 3.14.4-2 4.13.1-1 4.13.2-1', '4.8.0-1')
def the_brokers_disconnect(t):
    """A code of its table, no Session Expiry Interval, then the close; 3.x: the close alone."""
    c = t.connected('c', **kept(t))
    c.send(wire.publish(t.version, 'a', b''), b'\x30\x00')
    ended(c, 0x81)


@statement('3.14.2-1')
def every_code_of_a_clients_disconnect(t):
    """Is taken, whatever it says."""
    for code in (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99):
        c = t.connected('c')
        c.disconnect(code)


@statement('3.14.0-1 3.2.0-1')
def nothing_but_connack_before_connack(t):
    """A client that is refused hears CONNACK, never DISCONNECT."""
    c = t.client('c')
    c.send(wire.connect(V5, 'c', properties=[('auth_method', 'none')]))
    refused(c, 0x8C)


@statement('4.12.0-1')
def a_method_that_is_unknown(t):
    """0x8C; the same where the broker has no users for one that it knows."""
    for method in ('none', METHOD):
        c = t.client('c')
        c.send(wire.connect(V5, 'c', properties=[('auth_method', method)]))
        refused(c, 0x8C)


@statement('4.12.0-2 4.12.0-3 4.12.0-5 3.15.2-1', broker='limits')
def enhanced_authentication(t):
    """AUTH 0x18 and back, CONNACK with the broker's proof: each with the method."""
    c = logged_in(t)
    c.subscribe((t.topic('x'), 1))
    c.publish_to_itself(t.topic('x'), b'in')


@statement('4.12.0-4 3.1.4-2', broker='limits')
def a_wrong_proof(t):
    """At any step: CONNACK of 0x80 and above, and the close."""
    for scram in (Scram(password='wrong'), Scram(user='nobody')):
        c, scram, challenge = scram_client(t, scram=scram)
        c.send(auth(0x18, scram.last(challenge)))
        refused(c, 0x87)
    for first in (b'', b'nonsense', b'n,,r=only'):
        c = t.client('c')
        c.send(wire.connect(V5, 'c', properties=[('auth_method', METHOD), ('auth_data', first)]))
        refused(c, 0x87)


@statement('3.1.2-30 3.1.4-6', broker='limits')
def nothing_else_before_connack(t):
    """While AUTH is under way the client may send AUTH and DISCONNECT alone."""
    c, _, _ = scram_client(t)
    c.send(wire.publish(V5, t.topic('x'), b'early'))
    refused(c, 0x82)
    c, _, _ = scram_client(t)
    c.send(wire.disconnect(V5))
    c.expect_closed()


@statement('4.12.0-5', broker='limits')
def the_method_may_not_change(t):
    """AUTH of another method than CONNECT's."""
    c, scram, challenge = scram_client(t)
    c.send(auth(0x18, scram.last(challenge), method='other'))
    refused(c, 0x82)
    c = logged_in(t)
    c.send(auth(0x19, Scram().first(), method='other'))
    ended(c, 0x82)


@statement('4.12.0-6', broker='limits')
def no_method_no_auth(t):
    """Without a method in CONNECT there is none in CONNACK, and no AUTH comes."""
    got = t.connected('c').connack
    assert got.prop('auth_method') is None and got.prop('auth_data') is None, got


@statement('4.12.1-1 4.12.1 3.15.2-1 4.12.0-5', broker='limits')
def re_authentication(t):
    """AUTH 0x19, 0x18 and 0x00; what is sent meanwhile is processed as the one who it was."""
    c = logged_in(t)
    c.subscribe((t.topic('x'), 1))
    scram = Scram()
    c.send(auth(0x19, scram.first()))
    challenge = c.expect('AUTH', code=0x18, auth_method=METHOD).prop('auth_data')
    c.publish_to_itself(t.topic('x'), b'meanwhile')
    c.send(auth(0x18, scram.last(challenge)))
    scram.check(c.expect('AUTH', code=0, auth_method=METHOD).prop('auth_data'))
    c.publish_to_itself(t.topic('x'), b'behind')


@statement('4.12.1-2', broker='limits')
def failed_re_authentication(t):
    """DISCONNECT 0x87 and the close."""
    c = logged_in(t)
    scram = Scram(password='wrong')
    c.send(auth(0x19, scram.first()))
    challenge = c.expect('AUTH', code=0x18).prop('auth_data')
    c.send(auth(0x18, scram.last(challenge)))
    ended(c, 0x87)


@statement('3.15.2-2 3.15.2-3 3.14.2-3 3.14.2-4', broker='limits')
def no_reason_string_where_none_fits(t):
    """Of a client that takes 30 bytes at most: DISCONNECT comes without its reason."""
    c = t.connected('c', properties=[('maximum_packet_size', 30)])
    c.send(auth(0x19))
    got = c.expect('DISCONNECT', code=0x82)
    assert got.prop('reason_string') is None, got


def over_websocket(t, name, protocol='mqtt'):
    c = t.client(name, address=t.listens[1])
    c.sock = WebSocket(c.sock, protocol=protocol)
    return c


@statement('6.0.0-2 4.2-1', '6.0.0-2')
def frames_and_packets_need_not_line_up(t):
    """Two packets in a frame, a byte in each of many, a packet in fragments."""
    c = over_websocket(t, 'c')
    for byte in wire.connect(t.version, 'c'):
        c.send(bytes([byte]))
    c.expect('CONNACK', code=0)
    c.send(wire.subscribe(t.version, 1, [(t.topic('x'), 0)]), wire.pingreq())
    c.expect('SUBACK')
    c.expect('PINGRESP')
    publish = wire.publish(t.version, t.topic('x'), b'in pieces')
    c.sock.sock.sendall(frame(publish[:5], first=BINARY) + frame(publish[5:8], first=CONTINUATION) + frame(publish[8:], CONTINUATION))
    c.receive(t.topic('x'), b'in pieces')


@statement('6.0.0-1', '6.0.0-1')
def a_text_frame_ends_the_connection(t):
    """Whatever stands in it."""
    c = over_websocket(t, 'c')
    c.connect()
    c.sock.sock.sendall(frame(wire.pingreq(), TEXT))
    ended(c, None, 0x81)


@statement('6.0.0-4', '6.0.0-4')
def the_sub_protocol_is_mqtt(t):
    """Among others too."""
    for offered in ('mqtt', 'other, mqtt', 'mqtt, other'):
        c = over_websocket(t, 'c', offered)
        assert c.sock.protocol == 'mqtt', c.sock.protocol
        c.connect()
        c.disconnect()


@statement('', '4.8.0-2')
def one_clients_fault_is_its_own(t):
    """Others do not notice."""
    good = t.connected('good')
    for _ in range(3):
        bad = t.connected('bad')
        bad.send(b'\xff' * 10)
        bad.expect_closed()
    good.fence()
