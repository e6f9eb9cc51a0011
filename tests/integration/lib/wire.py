"""MQTT packets as bytes and back, for all three versions, written apart from the C codec so that one checks the other.

Encoding takes whatever it is told, also what is illegal; decoding is strict about lengths. A version is 3 (3.1), 4 (3.1.1)
or 5. Properties are a list of (name, value) in wire order.
"""

import hashlib
import struct

V31, V311, V5 = 3, 4, 5

KINDS = ['RESERVED', 'CONNECT', 'CONNACK', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBSCRIBE', 'SUBACK',
         'UNSUBSCRIBE', 'UNSUBACK', 'PINGREQ', 'PINGRESP', 'DISCONNECT', 'AUTH']
NUMBER = {name: number for number, name in enumerate(KINDS)}

# name -> identifier, type: b(yte), h (two bytes), i (four bytes), v(ariable), s(tring), d(ata), p(air of strings)
PROPERTIES = {
    'payload_format': (1, 'b'), 'message_expiry': (2, 'i'), 'content_type': (3, 's'), 'response_topic': (8, 's'),
    'correlation_data': (9, 'd'), 'subscription_id': (11, 'v'), 'session_expiry': (17, 'i'),
    'assigned_client_id': (18, 's'), 'server_keep_alive': (19, 'h'), 'auth_method': (21, 's'), 'auth_data': (22, 'd'),
    'request_problem_info': (23, 'b'), 'will_delay': (24, 'i'), 'request_response_info': (25, 'b'),
    'response_info': (26, 's'), 'server_reference': (28, 's'), 'reason_string': (31, 's'), 'receive_maximum': (33, 'h'),
    'topic_alias_maximum': (34, 'h'), 'topic_alias': (35, 'h'), 'maximum_qos': (36, 'b'), 'retain_available': (37, 'b'),
    'user_property': (38, 'p'), 'maximum_packet_size': (39, 'i'), 'wildcard_available': (40, 'b'),
    'subscription_ids_available': (41, 'b'), 'shared_available': (42, 'b'),
}
PROPERTY_OF = {number: (name, kind) for name, (number, kind) in PROPERTIES.items()}


class WireError(Exception):
    """Bytes that are not the packet they claim to be."""


# ---- bytes from values


def varint(value):
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 127
        out.append(digit | (128 if value else 0))
        if not value:
            return bytes(out)


def data(value):
    """Two bytes of length and the value; text as UTF-8."""
    raw = value.encode('utf-8', 'surrogatepass') if isinstance(value, str) else bytes(value)
    return struct.pack('>H', len(raw)) + raw


def prop(name, value):
    number, kind = PROPERTIES[name]
    if kind in 'sd':
        body = data(value)
    elif kind == 'p':
        body = data(value[0]) + data(value[1])
    elif kind == 'v':
        body = varint(value)
    else:
        body = struct.pack('>' + {'b': 'B', 'h': 'H', 'i': 'I'}[kind], value)
    return bytes([number]) + body


def props(version, items):
    if version < V5:
        assert not items, 'properties need MQTT 5'
        return b''
    body = items if isinstance(items, bytes) else b''.join(prop(*item) for item in items)
    return varint(len(body)) + body


def packet(kind, flags, body):
    return bytes([NUMBER[kind] << 4 | flags]) + varint(len(body)) + body


class Will:
    """What a CONNECT says about the will."""

    def __init__(self, topic, payload=b'', qos=0, retain=False, properties=()):
        self.topic, self.payload, self.qos, self.retain, self.properties = topic, payload, qos, retain, list(properties)


def connect(version, client_id='', clean=True, keep_alive=60, username=None, password=None, will=None, properties=(),
            bridge=False):
    name = 'MQIsdp' if version == V31 else 'MQTT'
    flags = (2 if clean else 0) | (128 if username is not None else 0) | (64 if password is not None else 0)
    if will is not None:
        flags |= 4 | will.qos << 3 | (32 if will.retain else 0)
    body = data(name) + bytes([version | (128 if bridge else 0), flags]) + struct.pack('>H', keep_alive)
    body += props(version, properties) + data(client_id)
    if will is not None:
        body += props(version, will.properties) + data(will.topic) + data(will.payload)
    if username is not None:
        body += data(username)
    if password is not None:
        body += data(password)
    return packet('CONNECT', 0, body)


def connack(version, code=0, session_present=False, properties=()):
    return packet('CONNACK', 0, bytes([int(session_present), code]) + props(version, properties))


def publish(version, topic, payload=b'', qos=0, packet_id=None, retain=False, dup=False, properties=()):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = data(topic)
    if packet_id is not None:
        body += struct.pack('>H', packet_id)
    return packet('PUBLISH', (8 if dup else 0) | qos << 1 | int(retain), body + props(version, properties) + payload)


def ack(version, kind, packet_id, code=None, properties=None):
    """PUBACK, PUBREC, PUBREL, PUBCOMP; the short form unless a code is given."""
    body = struct.pack('>H', packet_id)
    if code is not None:
        body += bytes([code])
    if properties is not None:
        body += props(version, properties)
    return packet(kind, 2 if kind == 'PUBREL' else 0, body)


def subscribe(version, packet_id, filters, properties=()):
    """FILTERS: (filter, options byte) pairs."""
    body = struct.pack('>H', packet_id) + props(version, properties)
    return packet('SUBSCRIBE', 2, body + b''.join(data(topic) + bytes([options]) for topic, options in filters))


def suback(version, packet_id, codes, properties=()):
    return packet('SUBACK', 0, struct.pack('>H', packet_id) + props(version, properties) + bytes(codes))


def unsubscribe(version, packet_id, filters, properties=()):
    body = struct.pack('>H', packet_id) + props(version, properties)
    return packet('UNSUBSCRIBE', 2, body + b''.join(data(topic) for topic in filters))


def unsuback(version, packet_id, codes=(), properties=()):
    body = struct.pack('>H', packet_id)
    if version == V5:
        body += props(version, properties) + bytes(codes)
    return packet('UNSUBACK', 0, body)


def pingreq():
    return packet('PINGREQ', 0, b'')


def pingresp():
    return packet('PINGRESP', 0, b'')


def disconnect(version, code=None, properties=None):
    body = b'' if code is None else bytes([code])
    if properties is not None:
        body += props(version, properties)
    return packet('DISCONNECT', 0, body)


def auth(code=None, properties=None):
    body = b'' if code is None else bytes([code])
    if properties is not None:
        body += props(V5, properties)
    return packet('AUTH', 0, body)


# ---- values from bytes


class Reader:
    """A bounded walk over the body of one packet."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, count):
        if count > len(self.raw) - self.at:
            raise WireError(f'{count} bytes wanted, {len(self.raw) - self.at} left')
        self.at += count
        return bytes(self.raw[self.at - count:self.at])

    def left(self):
        return len(self.raw) - self.at

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack('>H', self.take(2))[0]

    def u32(self):
        return struct.unpack('>I', self.take(4))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 127) << shift
            if not byte & 128:
                return value
            shift += 7
            if shift > 21:
                raise WireError('variable byte integer of more than four bytes')

    def data(self):
        return self.take(self.u16())

    def text(self):
        return self.data().decode('utf-8')

    def properties(self, version):
        if version < V5:
            return []
        inner = Reader(self.take(self.varint()))
        found = []
        while inner.left():
            number = inner.u8()
            if number not in PROPERTY_OF:
                raise WireError(f'unknown property {number}')
            name, kind = PROPERTY_OF[number]
            read = {'b': inner.u8, 'h': inner.u16, 'i': inner.u32, 'v': inner.varint, 's': inner.text, 'd': inner.data,
                    'p': lambda: (inner.text(), inner.text())}[kind]
            found.append((name, read()))
        return found


class Packet:
    """One decoded packet: .kind, and the fields that its kind has as attributes."""

    def __init__(self, kind, **fields):
        self.kind = kind
        self.properties = []
        self.__dict__.update(fields)

    def prop(self, name):
        """The value of a property, None without it; a list of all where it may come many times."""
        values = [value for key, value in self.properties if key == name]
        if name in ('user_property', 'subscription_id'):
            return values
        return values[0] if values else None

    def __repr__(self):
        fields = [f'{key}={show(value)}' for key, value in self.__dict__.items()
                  if key not in ('kind', 'properties')]
        fields += [f'{name}={show(value)}' for name, value in self.properties]
        return ' '.join([self.kind] + fields)


def show(value):
    """A value as a transcript shows it; long data by its length and digest."""
    if isinstance(value, (bytes, str)) and len(value) > 200:
        raw = value if isinstance(value, bytes) else value.encode()
        return f'<{len(raw)} bytes {hashlib.sha1(raw).hexdigest()[:16]}>'
    return repr(value)


def parse_connect(r, flags, version):
    name, level, bits, keep_alive = r.text(), r.u8(), r.u8(), r.u16()
    inner = level & 127
    properties = r.properties(inner)
    got = Packet('CONNECT', protocol=name, level=level, clean=bool(bits & 2), keep_alive=keep_alive,
                 client_id=r.text(), will=None, username=None, password=None, properties=properties)
    if bits & 4:
        will_properties = r.properties(inner)
        got.will = ('topic', r.text(), 'payload', r.data(), 'qos', bits >> 3 & 3, 'retain', bits >> 5 & 1,
                    will_properties)
    if bits & 128:
        got.username = r.text()
    if bits & 64:
        got.password = r.data()
    return got


def parse_connack(r, flags, version):
    present, code = r.u8(), r.u8()
    return Packet('CONNACK', session_present=present, code=code, properties=r.properties(version) if r.left() else [])


def parse_publish(r, flags, version):
    qos = flags >> 1 & 3
    topic = r.text()
    packet_id = r.u16() if qos else None
    properties = r.properties(version)
    return Packet('PUBLISH', dup=flags >> 3, qos=qos, retain=flags & 1, topic=topic, packet_id=packet_id,
                  payload=r.take(r.left()), properties=properties)


def parse_ack(kind):
    def parse(r, flags, version):
        got = Packet(kind, packet_id=r.u16(), code=0)
        if version == V5 and r.left():
            got.code = r.u8()
            if r.left():
                got.properties = r.properties(version)
        return got
    return parse


def parse_subscribe(r, flags, version):
    got = Packet('SUBSCRIBE', packet_id=r.u16(), properties=r.properties(version), filters=[])
    while r.left():
        got.filters.append((r.text(), r.u8()))
    return got


def parse_suback(r, flags, version):
    got = Packet('SUBACK', packet_id=r.u16(), properties=r.properties(version))
    got.codes = list(r.take(r.left()))
    return got


def parse_unsubscribe(r, flags, version):
    got = Packet('UNSUBSCRIBE', packet_id=r.u16(), properties=r.properties(version), filters=[])
    while r.left():
        got.filters.append(r.text())
    return got


def parse_unsuback(r, flags, version):
    got = Packet('UNSUBACK', packet_id=r.u16(), properties=r.properties(version))
    got.codes = list(r.take(r.left()))
    return got


def parse_reason(kind):
    def parse(r, flags, version):
        got = Packet(kind, code=r.u8() if r.left() else 0)
        if r.left():
            got.properties = r.properties(version)
        return got
    return parse


PARSERS = {
    'CONNECT': parse_connect, 'CONNACK': parse_connack, 'PUBLISH': parse_publish, 'PUBACK': parse_ack('PUBACK'),
    'PUBREC': parse_ack('PUBREC'), 'PUBREL': parse_ack('PUBREL'), 'PUBCOMP': parse_ack('PUBCOMP'),
    'SUBSCRIBE': parse_subscribe, 'SUBACK': parse_suback, 'UNSUBSCRIBE': parse_unsubscribe,
    'UNSUBACK': parse_unsuback, 'PINGREQ': lambda r, flags, version: Packet('PINGREQ'),
    'PINGRESP': lambda r, flags, version: Packet('PINGRESP'), 'DISCONNECT': parse_reason('DISCONNECT'),
    'AUTH': parse_reason('AUTH'),
}


class Decoder:
    """Bytes in, whole packets out. VERSION None: learnt from the CONNECT that comes first."""

    def __init__(self, version=None):
        self.version = version
        self.pending = bytearray()

    def feed(self, chunk):
        self.pending += chunk

    def next(self):
        """The next whole packet, or None."""
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self.pending):
                return None
            byte = self.pending[at]
            length |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if not byte & 128:
                break
            if shift > 21:
                raise WireError('remaining length of more than four bytes')
        if len(self.pending) - at < length:
            return None
        first = self.pending[0]
        body = memoryview(self.pending)[at:at + length]
        kind = KINDS[first >> 4]
        if kind not in PARSERS:
            raise WireError('packet type 0')
        reader = Reader(body)
        got = PARSERS[kind](reader, first & 15, self.version)
        if reader.left():
            raise WireError(f'{reader.left()} bytes too many in {kind}')
        if kind == 'CONNECT' and self.version is None:
            self.version = got.level & 127
        body.release()
        reader.raw = None
        del self.pending[:at + length]
        return got
