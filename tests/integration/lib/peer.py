"""A raw MQTT client and a raw MQTT broker: they send exactly the bytes they are told and write down what they receive.

Nothing here waits for time to pass. A wait ends with a packet, with the end of the connection, or as a failure after PATIENCE
seconds. That something does *not* arrive is shown by fence(): a PINGREQ whose answer must be the next packet, since a broker
answers in order.
"""

import os
import select
import socket
import ssl
import struct
import time

from . import wire
from .wire import V5

PATIENCE = float(os.environ.get('MQTT_TEST_PATIENCE', '40'))    # s; generous: it only delays the report of a failure
CLOSED = 'closed'


def connect_to(address, deadline=None):
    """A connected socket; ADDRESS is (host, port) or the path of a Unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(deadline or PATIENCE)
        sock.connect(address)
        return sock
    sock = socket.create_connection(address, deadline or PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Peer:
    """One end of one MQTT connection. NAME is its heading in the transcript, LINES what it has received."""

    def __init__(self, name, sock, version, lines):
        self.name, self.sock, self.version, self.lines = name, sock, version, lines
        self.decoder = wire.Decoder(version)
        self.is_quiet = False       # leaves no lines: for thousands of packets that the test checks itself
        self.rewrite = lambda text: text

    # ---- bytes

    def send(self, *pieces):
        """All of it, in one write where the socket takes it."""
        self.sock.sendall(b''.join(pieces))
        return self

    def next(self, patience=None):
        """The next packet, or CLOSED."""
        deadline = time.monotonic() + (patience or PATIENCE)
        while True:
            got = self.decoder.next()
            if got is not None:
                return got
            left = deadline - time.monotonic()
            if left <= 0 or not select_readable(self.sock, left):
                raise AssertionError(f'{self.name}: nothing came for {patience or PATIENCE:.0f} s')
            try:
                chunk = self.sock.recv(1 << 18)
            except (ConnectionResetError, BrokenPipeError):
                return CLOSED
            if not chunk:
                if self.decoder.pending:
                    raise AssertionError(f'{self.name}: closed within a packet: {bytes(self.decoder.pending[:32])!r}')
                return CLOSED
            self.decoder.feed(chunk)

    def note(self, text):
        if not self.is_quiet:
            self.lines.append(self.rewrite(text))

    # ---- expectations

    def expect(self, kind, **fields):
        """The next packet must be of this kind with these fields; properties count as fields."""
        got = self.next()
        if got == CLOSED:
            self.note(CLOSED)
            raise AssertionError(f'{self.name}: {kind} expected, the connection was closed')
        self.note(repr(got))
        if got.kind != kind:
            raise AssertionError(f'{self.name}: {kind} expected, got {got!r}')
        for field, wanted in fields.items():
            is_property = field in wire.PROPERTIES
            value = got.prop(field) if is_property else getattr(got, field)
            if value != wanted:
                raise AssertionError(f'{self.name}: {field} should be {wire.show(wanted)} in {got!r}')
        return got

    def expect_closed(self, patience=None):
        """Nothing more, only the end of the connection."""
        got = self.next(patience)
        self.note(str(got))
        if got != CLOSED:
            raise AssertionError(f'{self.name}: close expected, got {got!r}')
        self.close()

    def expect_end(self, codes, patience=None):
        """The connection ends; in MQTT 5 a DISCONNECT with one of CODES may come first, and is returned."""
        self.is_quiet = True        # r-proxy finds many faults before the broker can, and gives reasons in its own words
        got = self.next(patience)
        if got == CLOSED:
            self.close()
            return None
        if got.kind not in ('DISCONNECT', 'CONNACK') or got.code not in codes:
            raise AssertionError(f'{self.name}: an end with one of {[hex(c) for c in codes]} expected, got {got!r}')
        self.expect_closed(patience)
        return got

    def expect_closed_by_broker(self, farewell):
        """The broker closes an MQTT 5 connection, which hears FAREWELL (None: nothing) in a DISCONNECT before: see
        ScenarioCase.farewell(). The transcript calls all of these the same."""
        if farewell is not None and self.version == V5:
            got = self.next()
            if got == CLOSED or got.kind != 'DISCONNECT' or got.code != farewell:
                raise AssertionError(f'{self.name}: DISCONNECT 0x{farewell:02X} expected, got {got!r}')
        got = self.next()
        if got != CLOSED:
            raise AssertionError(f'{self.name}: close expected, got {got!r}')
        self.note('closed by the broker')
        self.close()

    def poll_readable(self, patience):
        """Whether something, or the end, has come before PATIENCE seconds are over."""
        return bool(select_readable(self.sock, patience))

    def poll_closed(self):
        """Whether the other side has closed by now; what came before is thrown away."""
        while select_readable(self.sock, 0):
            try:
                if not self.sock.recv(65536):
                    return True
            except ConnectionResetError:
                return True
        return False

    def send_quietly(self, raw):
        """Send to a peer that may have gone."""
        try:
            self.sock.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass

    # ---- ends

    def close(self):
        """Close without any MQTT farewell."""
        self.sock.close()

    def reset(self):
        """Close with a TCP reset."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()


class Client(Peer):
    """An MQTT client, usually made by Case.client()."""

    def __init__(self, name, sock, version, lines, client_id):
        super().__init__(name, sock, version, lines)
        self.client_id = client_id
        self.last_id = 0
        self.connack = None

    def new_id(self):
        self.last_id = self.last_id % 65535 + 1
        return self.last_id

    def connect(self, code=0, present=None, **options):
        """CONNECT and its CONNACK, which must carry CODE (and PRESENT as session present)."""
        self.send(wire.connect(self.version, options.pop('client_id', self.client_id), **options))
        got = self.connack = self.expect('CONNACK', code=code)
        if present is not None and got.session_present != int(present):
            raise AssertionError(f'{self.name}: session present should be {present}')
        return got

    def subscribe(self, *filters, codes=None, properties=()):
        """FILTERS: (filter, options) pairs. The granted codes must be CODES, or what was asked for."""
        packet_id = self.new_id()
        self.send(wire.subscribe(self.version, packet_id, filters, properties))
        wanted = [options & 3 for _, options in filters] if codes is None else codes
        return self.expect('SUBACK', packet_id=packet_id, codes=wanted)

    def unsubscribe(self, *filters):
        packet_id = self.new_id()
        self.send(wire.unsubscribe(self.version, packet_id, filters))
        return self.expect('UNSUBACK', packet_id=packet_id)

    def publish(self, topic, payload=b'', qos=0, **options):
        """PUBLISH and the whole exchange that belongs to it. QoS 0 is fenced, so that the broker has it on return."""
        if qos == 0:
            self.send(wire.publish(self.version, topic, payload, **options))
            return self.fence()
        packet_id = self.new_id()
        self.send(wire.publish(self.version, topic, payload, qos, packet_id, **options))
        if qos == 1:
            return self.expect('PUBACK', packet_id=packet_id)
        self.expect('PUBREC', packet_id=packet_id)
        self.send(wire.ack(self.version, 'PUBREL', packet_id))
        return self.expect('PUBCOMP', packet_id=packet_id)

    def publish_to_itself(self, topic, payload=b''):
        """With QoS 1, to a topic that it has subscribed to: the acknowledgement and the message come, each once, in any order."""
        packet_id, seen = self.new_id(), set()
        self.send(wire.publish(self.version, topic, payload, 1, packet_id))
        while seen != {'PUBACK', 'PUBLISH'}:
            got = self.next()
            kind = CLOSED if got == CLOSED else got.kind
            if kind in seen or kind not in ('PUBACK', 'PUBLISH') or kind == 'PUBLISH' and (got.payload != payload or got.dup):
                raise AssertionError(f'{self.name}: {got!r} instead of {wire.show(payload)}, of which {sorted(seen)} have come')
            if kind == 'PUBLISH':
                self.send(wire.ack(self.version, 'PUBACK', got.packet_id))
            seen.add(kind)

    def receive(self, topic=None, payload=None, **fields):
        """The next packet is this PUBLISH; it is acknowledged to the end of its exchange."""
        if topic is not None:
            fields['topic'] = topic
        if payload is not None:
            fields['payload'] = payload.encode() if isinstance(payload, str) else payload
        got = self.expect('PUBLISH', **fields)
        self.acknowledge(got)
        return got

    def acknowledge(self, got):
        if got.qos == 1:
            self.send(wire.ack(self.version, 'PUBACK', got.packet_id))
        elif got.qos == 2:
            self.send(wire.ack(self.version, 'PUBREC', got.packet_id))
            self.expect('PUBREL', packet_id=got.packet_id)
            self.send(wire.ack(self.version, 'PUBCOMP', got.packet_id))

    def receive_many(self, count=None, last=None):
        """Messages, COUNT of them or up to the one with payload LAST, their exchanges running side by side; in order of
        arrival."""
        messages, is_open = [], set()
        while is_open or not (messages and messages[-1].payload == last if count is None else len(messages) >= count):
            got = self.next()
            if got == CLOSED:
                raise AssertionError(f'{self.name}: closed after {len(messages)} messages')
            self.note(repr(got))
            if got.kind == 'PUBLISH':
                messages.append(got)
                if got.qos == 1:
                    self.send(wire.ack(self.version, 'PUBACK', got.packet_id))
                elif got.qos == 2:
                    is_open.add(got.packet_id)
                    self.send(wire.ack(self.version, 'PUBREC', got.packet_id))
            elif got.kind == 'PUBREL':
                is_open.discard(got.packet_id)
                self.send(wire.ack(self.version, 'PUBCOMP', got.packet_id))
            else:
                raise AssertionError(f'{self.name}: PUBLISH or PUBREL expected, got {got!r}')
        return messages

    def fence(self):
        """Everything sent before has been dealt with by the broker, and everything that it sent before has arrived."""
        self.send(wire.pingreq())
        return self.expect('PINGRESP')

    def disconnect(self, code=None, properties=None):
        """DISCONNECT, and wait for the other side to close."""
        self.send(wire.disconnect(self.version, code, properties))
        self.expect_closed()


class ScriptedBroker:
    """A listening socket at which the test itself plays the broker."""

    def __init__(self, host='127.0.0.1'):
        self.listener = socket.create_server((host, 0), backlog=256)
        self.listener.settimeout(PATIENCE)
        self.port = self.listener.getsockname()[1]

    def accept(self, lines, version=None, name='broker'):
        """The next connection, as a Peer that has read nothing yet."""
        sock, _ = self.listener.accept()
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Peer(name, sock, version, lines)

    def serve(self, lines, **connack):
        """Accept, read CONNECT, answer CONNACK; returns the Peer with .connect set to the packet."""
        peer = self.accept(lines)
        peer.connect = peer.expect('CONNECT')
        peer.version = peer.decoder.version
        peer.send(wire.connack(peer.version, **connack))
        return peer

    def close(self):
        self.listener.close()


def select_readable(sock, timeout):
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return poll.poll(timeout * 1000)
