#!/usr/bin/python3
"""MQTT packets put together by hand, independent of the C encoder: the oracle of the codec's tests and the seed of its fuzzing.

    mqtt_samples.py header         a C header: SAMPLE(version, name, bytes) and REFUSED(row, name, version, reason, bytes)
    mqtt_samples.py corpus DIR     one file for each packet: a byte for the decoder's version, then the packet

Legal packets are in the shortest form, so that the encoder must give the same bytes. Each refused packet names the row of the list of
attacks (M..) that it belongs to and the reason code of MQTT 5.0 that the decoder must give. Version 0 stands for a server's decoder
that waits for CONNECT.
"""
import os
import sys

V31, V311, V5 = 3, 4, 5
ALL_VERSIONS = (V31, V311, V5)
MALFORMED, PROTOCOL_ERROR, VERSION, FILTER, TOPIC, ALIAS = 0x81, 0x82, 0x84, 0x8F, 0x90, 0x94


def u16(n):
    return n.to_bytes(2, 'big')


def u32(n):
    return n.to_bytes(4, 'big')


def varint(n):
    out = b''
    while n >= 128:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def text(x):
    x = x.encode() if isinstance(x, str) else x
    return u16(len(x)) + x


def packet(first, *body):
    body = b''.join(body)
    return bytes([first]) + varint(len(body)) + body


def props(*items):
    items = b''.join(items)
    return varint(len(items)) + items


def pair(key, value):
    return b'\x26' + text(key) + text(value)


def props_in(version):
    """An empty list of properties, where the version has such lists."""
    return props() if version == V5 else b''


def connect(level, flags, *payload, name=None, keep_alive=60, properties=None):
    name = name if name is not None else ('MQIsdp' if level & 0x7F == V31 else 'MQTT')
    properties = (properties if properties is not None else props()) if level == V5 else b''
    return packet(0x10, text(name), bytes([level, flags]), u16(keep_alive), properties, *payload)


REASON_STRING = b'\x1f' + text('because')

CONNECT_PROPERTIES = props(b'\x11' + u32(3600), b'\x21' + u16(20), b'\x27' + u32(65536), b'\x22' + u16(10), b'\x19\x01', b'\x17\x00',
                           pair('k', 'v'), pair('k', 'v'), pair('', ''), b'\x15' + text('SCRAM-SHA-1'), b'\x16' + text(b'\x00\xff'))
WILL_PROPERTIES = props(b'\x18' + u32(5), b'\x01\x01', b'\x02' + u32(60), b'\x03' + text('text/plain'), b'\x08' + text('answer/to'),
                        b'\x09' + text(b'\x00\x01\x02'), pair('w', '1'))
CONNACK_PROPERTIES = props(b'\x11' + u32(0xFFFFFFFF), b'\x21' + u16(1), b'\x24\x01', b'\x25\x00', b'\x27' + u32(1),
                           b'\x12' + text('auto-1'), b'\x22' + u16(65535), REASON_STRING, pair('a', 'b'), b'\x28\x00', b'\x29\x01',
                           b'\x2a\x00', b'\x13' + u16(30), b'\x1a' + text('resp/'), b'\x1c' + text('other:1883'),
                           b'\x15' + text('M'), b'\x16' + text(b''))
PUBLISH_PROPERTIES = props(b'\x01\x01', b'\x02' + u32(0), b'\x03' + text('json'), b'\x08' + text('r'), b'\x09' + text(b'\xff'),
                           b'\x0b' + varint(1), b'\x0b' + varint(128), b'\x0b' + varint(268435455), b'\x23' + u16(3), pair('k', 'v'))


def samples_of_connect():
    c = text('c')
    yield V31, 'CONNECT, shortest', connect(V31, 0x02, c)
    yield V31, 'CONNECT, everything', connect(V31, 0xEE, text('client'), text('will/topic'), text('gone'), text('user'), text('secret'))
    yield V31, 'CONNECT of a bridge', connect(0x83, 0x02, text('bridge'))
    yield V31, 'CONNECT, empty client id', connect(V31, 0x02, text(''))
    yield V311, 'CONNECT, shortest', connect(V311, 0x02, text(''))
    yield V311, 'CONNECT, everything', connect(V311, 0xEE, text('klient-\u00fc'), text('will/topic'), text(b'\x00gone\xff'),
                                               text('user'), text(b'\x00secret'), keep_alive=65535)
    yield V311, 'CONNECT, will without retain', connect(V311, 0x14, c, text('w'), text(''), keep_alive=0)
    yield V311, 'CONNECT, user name there and empty', connect(V311, 0x82, c, text(''))
    yield V311, 'CONNECT of a bridge', connect(0x84, 0x02, text('bridge'))
    yield V5, 'CONNECT, shortest', connect(V5, 0, text(''), keep_alive=0)
    yield V5, 'CONNECT, everything', connect(V5, 0xEE, text('client'), WILL_PROPERTIES, text('will/topic'), text('gone'), text('user'),
                                             text('secret'), properties=CONNECT_PROPERTIES)
    yield V5, 'CONNECT, password without user name', connect(V5, 0x42, c, text('token'))


def samples_of_v3(v):
    yield v, 'CONNACK, accepted', packet(0x20, b'\x00\x00')
    yield v, 'CONNACK, session present', packet(0x20, b'\x01\x00')
    yield v, 'CONNACK, refused', packet(0x20, b'\x00\x05')
    yield v, 'PUBLISH, QoS 0', packet(0x30, text('a/b'), b'hello')
    yield v, 'PUBLISH, retained and empty', packet(0x31, text('a/b'))
    yield v, 'PUBLISH, QoS 1', packet(0x32, text('a/b'), u16(1), b'hello')
    yield v, 'PUBLISH, QoS 2, DUP, retained', packet(0x3D, text('a/b'), u16(65535), b'hello')
    yield v, 'PUBLISH, length of two bytes', packet(0x30, text('a/b'), b'x' * 195)
    yield v, 'PUBACK', packet(0x40, u16(0x1234))
    yield v, 'PUBREC', packet(0x50, u16(2))
    yield v, 'PUBREL', packet(0x62, u16(2))
    yield v, 'PUBCOMP', packet(0x70, u16(2))
    yield v, 'SUBSCRIBE, one filter', packet(0x82, u16(10), text('#'), b'\x02')
    yield v, 'SUBSCRIBE, several', packet(0x82, u16(10), text('a/+/c'), b'\x00', text('+'), b'\x01', text('$share/g'), b'\x02')
    yield v, 'SUBACK', packet(0x90, u16(10), b'\x00\x01\x02\x80')
    yield v, 'UNSUBSCRIBE', packet(0xA2, u16(11), text('a/b'), text('a/#'))
    yield v, 'UNSUBACK', packet(0xB0, u16(11))
    yield v, 'PINGREQ', packet(0xC0)
    yield v, 'PINGRESP', packet(0xD0)
    yield v, 'DISCONNECT', packet(0xE0)


def samples_of_v31():
    yield V31, 'PUBREL, DUP', packet(0x6A, u16(2))
    yield V31, 'SUBSCRIBE, DUP', packet(0x8A, u16(10), text('a'), b'\x01')
    yield V31, 'UNSUBSCRIBE, DUP', packet(0xAA, u16(10), text('a'))


def samples_of_v5():
    yield V5, 'CONNACK, accepted', packet(0x20, b'\x00\x00', props())
    yield V5, 'CONNACK, everything', packet(0x20, b'\x01\x00', CONNACK_PROPERTIES)
    yield V5, 'CONNACK, refused', packet(0x20, b'\x00\x87', props(REASON_STRING))
    yield V5, 'PUBLISH, QoS 0', packet(0x30, text('a/b'), props(), b'hello')
    yield V5, 'PUBLISH, QoS 1, everything', packet(0x3B, text('a/b'), u16(7), PUBLISH_PROPERTIES, b'hello')
    yield V5, 'PUBLISH, topic by alias', packet(0x34, text(''), u16(7), props(b'\x23' + u16(65535)))
    yield V5, 'PUBLISH, U+FEFF in the topic is kept', packet(0x30, text('\ufeffa'), props())
    yield V5, 'PUBLISH, properties with a length of two bytes', packet(0x30, text('t'), props(pair('k', 'v' * 200)), b'x')
    for first, name, code in ((0x40, 'PUBACK', 0x10), (0x50, 'PUBREC', 0x97), (0x62, 'PUBREL', 0x92), (0x70, 'PUBCOMP', 0x92)):
        yield V5, name + ', shortest', packet(first, u16(9))
        yield V5, name + ' with a reason', packet(first, u16(9), bytes([code]))
        yield V5, name + ' with properties', packet(first, u16(9), b'\x00', props(REASON_STRING, pair('a', 'b')))
    yield V5, 'SUBSCRIBE, one filter', packet(0x82, u16(10), props(), text('a'), b'\x2e')
    yield V5, 'SUBSCRIBE, everything', packet(0x82, u16(10), props(b'\x0b' + varint(16384), pair('a', 'b')),
                                              text('$share/g/a/+'), b'\x19', text('#'), b'\x2d', text('$share'), b'\x00')
    yield V5, 'SUBACK', packet(0x90, u16(10), props(REASON_STRING), b'\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2')
    yield V5, 'UNSUBSCRIBE', packet(0xA2, u16(11), props(pair('a', 'b')), text('a/b'), text('$share/g/#'))
    yield V5, 'UNSUBACK', packet(0xB0, u16(11), props(pair('', '')), b'\x00\x11\x80\x83\x87\x8f\x91')
    yield V5, 'PINGREQ', packet(0xC0)
    yield V5, 'PINGRESP', packet(0xD0)
    yield V5, 'DISCONNECT, shortest', packet(0xE0)
    yield V5, 'DISCONNECT with a reason', packet(0xE0, b'\x04')
    yield V5, 'DISCONNECT with properties', packet(0xE0, b'\x9c', props(REASON_STRING, b'\x1c' + text('there'), pair('a', 'b')))
    yield V5, 'DISCONNECT with session expiry', packet(0xE0, b'\x00', props(b'\x11' + u32(9)))
    yield V5, 'AUTH, method only', packet(0xF0, b'\x18', props(b'\x15' + text('M')))
    yield V5, 'AUTH, everything', packet(0xF0, b'\x19', props(b'\x15' + text('M'), b'\x16' + text(b'\x01'), REASON_STRING,
                                                              pair('a', 'b')))


def samples():
    yield from samples_of_connect()
    yield from samples_of_v3(V31)
    yield from samples_of_v3(V311)
    yield from samples_of_v31()
    yield from samples_of_v5()


def publish_with(*properties):
    return packet(0x30, text('a'), props(*properties))


def connect_with(*properties):
    return connect(V5, 0x02, text('c'), properties=props(*properties))


def will_with(*properties):
    return connect(V5, 0x06, text('c'), props(*properties), text('t'), text(''))


def refused_headers():
    yield 'M01', 'PUBLISH first', 0, PROTOCOL_ERROR, packet(0x30, text('a'), b'x')
    yield 'M01', 'PINGREQ first', 0, PROTOCOL_ERROR, packet(0xC0)
    yield 'M03', 'Remaining Length of five bytes', V311, MALFORMED, b'\x30\x80\x80\x80\x80\x01'
    yield 'M03', 'of five bytes in CONNECT', 0, MALFORMED, b'\x10\xff\xff\xff\xff\x01'
    yield 'M04', 'Remaining Length 0 in two bytes', V311, MALFORMED, b'\xc0\x80\x00'
    yield 'M04', 'Remaining Length 2 in two bytes', V311, MALFORMED, b'\x40\x82\x00\x00\x01'
    yield 'M05', 'packet type 0', V5, MALFORMED, b'\x00\x00'
    yield 'M05', 'packet type 0 first', 0, MALFORMED, b'\x00\x00'
    yield 'M05', 'packet type 15 in 3.1.1', V311, MALFORMED, b'\xf0\x00'
    yield 'M05', 'packet type 15 in 3.1', V31, MALFORMED, b'\xf0\x00'
    for v in (V31, V311):
        yield 'M16', 'QoS 3', v, MALFORMED, packet(0x36, text('a'), u16(1))
    yield 'M16', 'QoS 3', V5, MALFORMED, packet(0x36, text('a'), u16(1), props())
    for v in ALL_VERSIONS:
        yield 'M17', 'DUP with QoS 0', v, MALFORMED, packet(0x38, text('a'), props_in(v))
    for name, start in (('HTTP', b'GET / HTTP/1.1\r\n\r\n'), ('POST', b'POST / HTTP/1.1\r\n'), ('PROXY v1', b'PROXY TCP4 1.2.3.4'),
                        ('HTTP/2', b'PRI * HTTP/2.0\r\n'), ('SSH', b'SSH-2.0-x\r\n')):
        yield 'M46', name, 0, PROTOCOL_ERROR, start
    yield 'M46', 'TLS hello', 0, MALFORMED, b'\x16\x03\x01\x02\x00\x01\x00'
    yield 'M46', 'PROXY v2', 0, MALFORMED, b'\r\n\r\n\x00\r\nQUIT\n'


def refused_strings():
    bad = {'surrogate': b'a\xed\xa0\x80', 'overlong': b'a\xc0\xaf', 'above U+10FFFF': b'\xf4\x90\x80\x80', 'stray byte': b'\x80',
           'cut': b'a\xe2\x82', 'U+0000': b'a\x00b'}
    for what, b in bad.items():
        t = text(b)
        cases = (('M07', 'client id', 0, connect(V311, 0x02, t)),
                 ('M07', 'client id', 0, connect(V5, 0x02, t)),
                 ('M08', 'topic name', V311, packet(0x30, t, b'x')),
                 ('M08', 'topic name', V5, packet(0x30, t, props(), b'x')),
                 ('M09', 'filter of SUBSCRIBE', V311, packet(0x82, u16(1), t, b'\x00')),
                 ('M09', 'filter of SUBSCRIBE', V5, packet(0x82, u16(1), props(), t, b'\x00')),
                 ('M09', 'filter of UNSUBSCRIBE', V5, packet(0xA2, u16(1), props(), t)),
                 ('M10', 'user property, name', V5, publish_with(pair(b, 'v'))),
                 ('M10', 'user property, value', V5, publish_with(pair('k', b))),
                 ('M10', 'Content Type', V5, publish_with(b'\x03' + t)),
                 ('M10', 'Response Topic', V5, publish_with(b'\x08' + t)),
                 ('M10', 'Reason String', V5, packet(0xE0, b'\x00', props(b'\x1f' + t))),
                 ('M10', 'Authentication Method', 0, connect_with(b'\x15' + t)),
                 ('M11', 'will topic', 0, connect(V311, 0x06, text('c'), t, text(''))),
                 ('M11', 'user name', 0, connect(V311, 0x82, text('c'), t)))
        for row, where, version, wire in cases:
            yield 'M12' if what == 'U+0000' else row, where + ', ' + what, version, MALFORMED, wire


def refused_topics():
    for w in '+#':
        yield 'M14', 'topic name with ' + w, V311, TOPIC, packet(0x30, text('a/' + w), b'x')
        yield 'M14', 'topic name with ' + w, V5, TOPIC, packet(0x30, text('longer/topic/' + w + '/b'), props())
        yield 'M14', 'topic name beyond ASCII with ' + w, V5, TOPIC, packet(0x30, text('\u00fc' + w), props())
        yield 'M14', 'will topic with ' + w, 0, TOPIC, connect(V311, 0x06, text('c'), text('a' + w), text(''))
        yield 'M34', 'Response Topic with ' + w, V5, PROTOCOL_ERROR, publish_with(b'\x08' + text('r/' + w))
        yield 'M34', 'Response Topic of a will with ' + w, 0, PROTOCOL_ERROR, will_with(b'\x08' + text('r/' + w))
    yield 'M15', 'empty topic name', V31, PROTOCOL_ERROR, packet(0x30, text(''), b'x')
    yield 'M15', 'empty topic name', V311, PROTOCOL_ERROR, packet(0x30, text(''), b'x')
    yield 'M15', 'empty topic name, no alias', V5, PROTOCOL_ERROR, packet(0x30, text(''), props(), b'x')
    yield 'M15', 'empty topic name, no alias but others', V5, PROTOCOL_ERROR, packet(0x30, text(''), props(pair('a', 'b')))
    yield 'M15', 'empty will topic', 0, PROTOCOL_ERROR, connect(V311, 0x06, text('c'), text(''), text(''))
    yield 'M15', 'empty Response Topic', V5, PROTOCOL_ERROR, publish_with(b'\x08' + text(''))


def refused_ids():
    for v in ALL_VERSIONS:
        e = props_in(v)
        yield 'M18', 'PUBLISH of QoS 1 with id 0', v, PROTOCOL_ERROR, packet(0x32, text('a'), u16(0), e)
        yield 'M18', 'PUBLISH of QoS 2 with id 0', v, PROTOCOL_ERROR, packet(0x34, text('a'), u16(0), e)
        yield 'M18', 'SUBSCRIBE with id 0', v, PROTOCOL_ERROR, packet(0x82, u16(0), e, text('a'), b'\x00')
        yield 'M18', 'UNSUBSCRIBE with id 0', v, PROTOCOL_ERROR, packet(0xA2, u16(0), e, text('a'))
        yield 'M18', 'SUBACK with id 0', v, PROTOCOL_ERROR, packet(0x90, u16(0), e, b'\x00')
        for first in (0x40, 0x50, 0x62, 0x70):
            yield 'M18', 'acknowledgement with id 0', v, PROTOCOL_ERROR, packet(first, u16(0))


def refused_connects():
    c = text('c')
    yield 'M20', 'reserved flag', 0, MALFORMED, connect(V311, 0x03, c)
    yield 'M20', 'reserved flag', 0, MALFORMED, connect(V5, 0x03, c)
    for level in ALL_VERSIONS:
        yield 'M20', 'will QoS 3', 0, MALFORMED, connect(level, 0x1E, c, props_in(level), text('w'), text(''))
    for level in (V311, V5):
        for flags in (0x0A, 0x12, 0x1A, 0x22):
            yield 'M20', 'will bits without will', 0, MALFORMED, connect(level, flags, c)
    for level in (V31, V311):
        yield 'M20', 'password without user name', 0, MALFORMED, connect(level, 0x42, c, text('p'))
    yield 'M21', 'CONNECT with an empty body', 0, MALFORMED, b'\x10\x00'
    for name, level in (('MQTT', 6), ('MQTT', 0), ('MQTT', 3), ('MQTT', 0x85), ('MQTT', 255), ('MQIsdp', 4), ('MQIsdp', 5),
                        ('mqtt', 4), ('MQTTT', 4), ('MQT', 4), ('', 4)):
        yield 'M22', 'name "%s", level %d' % (name, level), 0, VERSION, connect(level, 0x02, text('some-client'), name=name)
    yield 'M37', 'Authentication Data without Method', 0, PROTOCOL_ERROR, connect_with(b'\x16' + text('x'))


def refused_subscriptions():
    for v in ALL_VERSIONS:
        e = props_in(v)
        yield 'M23', 'SUBSCRIBE without filter', v, PROTOCOL_ERROR, packet(0x82, u16(1), e)
        yield 'M23', 'SUBSCRIBE without options', v, MALFORMED, packet(0x82, u16(1), e, text('a'))
        yield 'M23', 'SUBSCRIBE, second without options', v, MALFORMED, packet(0x82, u16(1), e, text('a'), b'\x00', text('b'))
        yield 'M23', 'SUBSCRIBE, filter cut', v, MALFORMED, packet(0x82, u16(1), e, b'\x00\x05a')
        yield 'M23', 'SUBSCRIBE of one byte', v, MALFORMED, packet(0x82, b'\x00')
        yield 'M24', 'QoS 3', v, PROTOCOL_ERROR, packet(0x82, u16(1), e, text('a'), b'\x03')
        yield 'M27', 'UNSUBSCRIBE without filter', v, PROTOCOL_ERROR, packet(0xA2, u16(1), e)
        yield 'M27', 'UNSUBSCRIBE, filter cut', v, MALFORMED, packet(0xA2, u16(1), e, b'\x00\x05a')
        for f in ('a#', '#/a', 'a+', '+a', '', 'a/#/b', '##', '+#', 'a/+b/c', '/a#'):
            yield 'M25', 'SUBSCRIBE ' + f, v, FILTER, packet(0x82, u16(1), e, text(f), b'\x00')
            yield 'M25', 'UNSUBSCRIBE ' + f, v, FILTER, packet(0xA2, u16(1), e, text(f))
    for v in (V31, V311):
        for bits in (0x04, 0x08, 0x10, 0x20, 0x40, 0x80):
            yield 'M24', 'reserved option bits', v, MALFORMED, packet(0x82, u16(1), text('a'), bytes([bits]))
    for bits in (0x40, 0x80, 0xC0):
        yield 'M24', 'reserved option bits', V5, MALFORMED, packet(0x82, u16(1), props(), text('a'), bytes([bits]))
    yield 'M24', 'Retain Handling 3', V5, PROTOCOL_ERROR, packet(0x82, u16(1), props(), text('a'), b'\x30')
    for f in ('$share/', '$share/g', '$share//t', '$share/+/t', '$share/#/t', '$share/g+/t', '$share/g/', '$share/g/a#'):
        yield 'M26', f, V5, FILTER, packet(0x82, u16(1), props(), text(f), b'\x00')
    yield 'M26', 'No Local', V5, PROTOCOL_ERROR, packet(0x82, u16(1), props(), text('$share/g/t'), b'\x04')


def refused_properties():
    yield 'M29', 'unknown property', V5, MALFORMED, publish_with(b'\x7f\x00')
    yield 'M29', 'property 0', V5, MALFORMED, publish_with(b'\x00')
    yield 'M29', 'property id in two bytes', V5, MALFORMED, publish_with(b'\x81\x00\x01')
    yield 'M30', 'Property Length past the packet', V5, MALFORMED, packet(0x30, text('a'), b'\x05')
    yield 'M30', 'Property Length 268,435,455', V5, MALFORMED, packet(0x30, text('a'), b'\xff\xff\xff\x7f')
    yield 'M30', 'Property Length of five bytes', V5, MALFORMED, packet(0x30, text('a'), b'\xff\xff\xff\xff\x0f')
    yield 'M30', 'Property Length 0 in two bytes', V5, MALFORMED, packet(0x30, text('a'), b'\x80\x00')
    yield 'M30', 'Property Length cut', V5, MALFORMED, packet(0x30, text('a'), b'\x80')
    yield 'M30', 'Property Length left out', V5, MALFORMED, packet(0x30, text('a'))
    yield 'M30', 'Property Length past CONNECT', 0, MALFORMED, connect(V5, 0x02, text('c'), properties=b'\x20')
    yield 'M30', 'Property Length past the will', 0, MALFORMED, connect(V5, 0x06, text('c'), b'\x20', text('t'), text(''))
    yield 'M30', 'string past its list', V5, MALFORMED, publish_with(b'\x03\x00\x05ab')
    yield 'M30', 'number past its list', V5, MALFORMED, publish_with(b'\x02\x00\x00')
    yield 'M30', 'pair without value', V5, MALFORMED, publish_with(b'\x26\x00\x01k')
    yield 'M30', 'varint of five bytes', V5, MALFORMED, publish_with(b'\x0b\xff\xff\xff\xff\x01')
    yield 'M30', 'varint longer than it needs', V5, MALFORMED, publish_with(b'\x0b\x81\x00')
    yield 'M31', 'Receive Maximum 0', 0, PROTOCOL_ERROR, connect_with(b'\x21\x00\x00')
    yield 'M31', 'Maximum Packet Size 0', 0, PROTOCOL_ERROR, connect_with(b'\x27' + u32(0))
    yield 'M31', 'Subscription Identifier 0', V5, PROTOCOL_ERROR, packet(0x82, u16(1), props(b'\x0b\x00'), text('a'), b'\x00')
    yield 'M31', 'Receive Maximum 0 in CONNACK', V5, PROTOCOL_ERROR, packet(0x20, b'\x00\x00', props(b'\x21\x00\x00'))
    yield 'M32', 'Topic Alias 0', V5, ALIAS, publish_with(b'\x23\x00\x00')
    yield 'M35', 'Payload Format Indicator 2', V5, PROTOCOL_ERROR, publish_with(b'\x01\x02')
    yield 'M35', 'Payload Format Indicator 2 of a will', 0, PROTOCOL_ERROR, will_with(b'\x01\x02')
    for flag in (0x17, 0x19):
        yield 'M35', 'flag of CONNECT is 2', 0, PROTOCOL_ERROR, connect_with(bytes([flag, 2]))
    for flag in (0x24, 0x25, 0x28, 0x29, 0x2a):
        yield 'M35', 'flag of CONNACK is 2', V5, PROTOCOL_ERROR, packet(0x20, b'\x00\x00', props(bytes([flag, 2])))


def refused_reasons():
    method = props(b'\x15' + text('M'))
    yield 'M36', 'AUTH without body', V5, PROTOCOL_ERROR, packet(0xF0)
    yield 'M36', 'AUTH without method', V5, PROTOCOL_ERROR, packet(0xF0, b'\x18', props())
    yield 'M36', 'AUTH of one byte', V5, MALFORMED, packet(0xF0, b'\x18')
    yield 'M38', 'PUBACK 0x92', V5, PROTOCOL_ERROR, packet(0x40, u16(1), b'\x92')
    yield 'M38', 'PUBREC 0x01', V5, PROTOCOL_ERROR, packet(0x50, u16(1), b'\x01')
    yield 'M38', 'PUBREL 0x80', V5, PROTOCOL_ERROR, packet(0x62, u16(1), b'\x80')
    yield 'M38', 'PUBCOMP 0x10', V5, PROTOCOL_ERROR, packet(0x70, u16(1), b'\x10')
    yield 'M38', 'DISCONNECT 0x01', V5, PROTOCOL_ERROR, packet(0xE0, b'\x01')
    yield 'M38', 'AUTH 0x01', V5, PROTOCOL_ERROR, packet(0xF0, b'\x01', method)
    yield 'M38', 'CONNACK 0x8B', V5, PROTOCOL_ERROR, packet(0x20, b'\x00\x8b', props())
    yield 'M38', 'CONNACK 6', V311, PROTOCOL_ERROR, packet(0x20, b'\x00\x06')
    yield 'M38', 'SUBACK 3', V311, PROTOCOL_ERROR, packet(0x90, u16(1), b'\x03')
    yield 'M38', 'SUBACK 0x11', V5, PROTOCOL_ERROR, packet(0x90, u16(1), props(), b'\x11')
    yield 'M38', 'UNSUBACK 0x01', V5, PROTOCOL_ERROR, packet(0xB0, u16(1), props(), b'\x01')
    for v in ALL_VERSIONS:
        yield 'CVE-2024-10525', 'SUBACK without codes', v, PROTOCOL_ERROR, packet(0x90, u16(1), props_in(v))
    yield 'CVE-2024-10525', 'UNSUBACK without codes', V5, PROTOCOL_ERROR, packet(0xB0, u16(1), props())
    yield '3.2.2-1', 'reserved acknowledge flags', V311, MALFORMED, packet(0x20, b'\x02\x00')
    yield '3.2.2-1', 'reserved acknowledge flags', V5, MALFORMED, packet(0x20, b'\x80\x00', props())


def refused():
    yield from refused_headers()
    yield from refused_strings()
    yield from refused_topics()
    yield from refused_ids()
    yield from refused_connects()
    yield from refused_subscriptions()
    yield from refused_properties()
    yield from refused_reasons()


def c_string(b):
    return '"' + ''.join('\\%03o' % byte for byte in b) + '"'


def write_header():
    print('/* Made by mqtt_samples.py. */')
    print('#define SAMPLES(SAMPLE) \\')
    for version, name, wire in samples():
        print('    SAMPLE(%d, "%s", %s) \\' % (version, name, c_string(wire)))
    print('\n#define REFUSALS(REFUSED) \\')
    for row, name, version, reason, wire in refused():
        print('    REFUSED("%s", %s, %d, 0x%02X, %s) \\' % (row, c_string(name.encode()), version, reason, c_string(wire)))
    print()


def write_corpus(folder):
    os.makedirs(folder, exist_ok=True)
    packets = [(version, wire) for version, _, wire in samples()] + [(version, wire) for _, _, version, _, wire in refused()]
    for i, (version, wire) in enumerate(packets):
        with open(os.path.join(folder, '%03d' % i), 'wb') as f:
            f.write(bytes([version]) + wire)


if __name__ == '__main__':
    if sys.argv[1:] == ['header']:
        write_header()
    elif len(sys.argv) == 3 and sys.argv[1] == 'corpus':
        write_corpus(sys.argv[2])
    else:
        sys.exit(__doc__)
