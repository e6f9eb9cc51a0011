"""Packets that break the format or the protocol: a row each, and how mqtt-broker ends the connection. The second half of MQTT 5.0's
rules, the errors that its text names without a number, stands here too (by section)."""

from lib import wire
from lib.statements import THREES, ended, refused, statement
from lib.wire import V31, V311, V5, data, prop, varint

MALFORMED, PROTOCOL, TOPIC_NAME, FILTER, ALIAS = 0x81, 0x82, 0x90, 0x8F, 0x94
BAD_UTF8 = (b'\xc3\x28', b'\xed\xa0\x80', b'\xf4\x90\x80\x80', b'\xc0\xaf', b'a\xff')


def raw(kind, flags, *body):
    return wire.packet(kind, flags, b''.join(body))


def properties(v, *items):
    """The properties of a packet of version V as bytes; ITEMS: (name, value)."""
    return wire.props(v, b''.join(prop(*item) for item in items)) if v == V5 else b''


def connect(v, name=None, level=None, flags=2, keep_alive=b'\0\x3c', props=b'', payload=None):
    """A CONNECT with any of its parts other than it should be."""
    head = data(('MQIsdp' if v == V31 else 'MQTT') if name is None else name) + bytes([level or v, flags]) + keep_alive
    return raw('CONNECT', 0, head, varint(len(props)) + props if v == V5 else b'', data('fault') if payload is None else payload)


def publish(v, topic, *items, flags=0, packet_id=b'', payload=b''):
    return raw('PUBLISH', flags, data(topic), packet_id, properties(v, *items), payload)


def subscribe(v, *filters, flags=2, packet_id=b'\0\1', items=()):
    return raw('SUBSCRIBE', flags, packet_id, properties(v, *items), *(data(text) + bytes([options]) for text, options in filters))


def unsubscribe(v, *filters, flags=2, packet_id=b'\0\1'):
    return raw('UNSUBSCRIBE', flags, packet_id, properties(v), *(data(text) for text in filters))


def twice(name, value):
    return ((name, value), (name, value))


# five, three, what, the packet, the code of 5.0
LIVE = (
    ('1.5.4-1', '1.5.3-1', 'topic that is not UTF-8', lambda v: [publish(v, text) for text in BAD_UTF8], MALFORMED),
    ('1.5.4-2 4.7.3-2', '1.5.3-2 4.7.3-2', 'U+0000 in a topic', lambda v: [publish(v, b'a\0b')], MALFORMED),
    ('1.5.4-2 4.7.3-2', '1.5.3-2 4.7.3-2', 'U+0000 in a filter', lambda v: [subscribe(v, (b'a\0b', 0))], MALFORMED),
    ('1.5.5-1', '', 'variable byte integer longer than it need be',
     lambda v: [raw('SUBSCRIBE', 2, b'\0\1', b'\x03\x0b\x81\x00', data('a'), b'\0')], MALFORMED),
    ('1.5.5-1', '4.8.0-1', 'remaining length of five bytes', lambda v: [b'\x30\x80\x80\x80\x80\x01'], MALFORMED),
    ('1.5.7-1', '', 'user property that is not UTF-8',
     lambda v: [publish(v, 'a', ('user_property', pair)) for pair in ((b'\xff', 'v'), ('k', b'\xff'))], MALFORMED),
    ('2.1.3-1 3.8.1-1', '2.2.2-1..2 3.8.1-1', 'SUBSCRIBE with other flags',
     lambda v: [subscribe(v, ('a', 0), flags=flags) for flags in (0, 1, 3, 6)], MALFORMED),
    ('3.10.1-1', '3.10.1-1', 'UNSUBSCRIBE with other flags', lambda v: [unsubscribe(v, 'a', flags=flags) for flags in (0, 3)], MALFORMED),
    ('3.6.1-1', '3.6.1-1', 'PUBREL with other flags', lambda v: [raw('PUBREL', flags, b'\0\1') for flags in (0, 1, 6)], MALFORMED),
    ('2.1.3-1', '2.2.2-1..2', 'PUBACK with flags', lambda v: [raw(kind, 1, b'\0\1') for kind in ('PUBACK', 'PUBREC', 'PUBCOMP')], MALFORMED),
    ('2.1.3-1', '2.2.2-1..2', 'PINGREQ with flags', lambda v: [raw('PINGREQ', 1)], MALFORMED),
    ('3.14.1-1', '3.14.1-1', 'DISCONNECT with flags', lambda v: [raw('DISCONNECT', 1)], MALFORMED),
    ('3.15.1-1', '', 'AUTH with flags', lambda v: [raw('AUTH', 2, b'\x18', properties(v, ('auth_method', 'x')))], MALFORMED),
    ('2.1.2', '4.8.0-1', 'packet type 0', lambda v: [b'\0\0'], MALFORMED),
    ('', '4.8.0-1', 'packet type 15', lambda v: [b'\xf0\0'], MALFORMED),
    ('2.1.2', '4.8.0-1', 'packets that only a server sends',
     lambda v: [wire.connack(v), wire.suback(v, 1, [0]), wire.unsuback(v, 1, [0]), wire.pingresp()], PROTOCOL),
    ('2.2.1:zero', '2.3.1-1', 'packet identifier 0',
     lambda v: [publish(v, 'a', flags=2, packet_id=b'\0\0'), publish(v, 'a', flags=4, packet_id=b'\0\0'),
                subscribe(v, ('a', 0), packet_id=b'\0\0'), unsubscribe(v, 'a', packet_id=b'\0\0')], PROTOCOL),
    ('2.2.2-1', '', 'no property length', lambda v: [raw('SUBSCRIBE', 2, b'\0\1'), raw('PUBLISH', 0, data('a'))], MALFORMED),
    ('2.2.2:foreign', '', 'property of another packet',
     lambda v: [publish(v, 'a', ('session_expiry', 1)), subscribe(v, ('a', 0), items=[('content_type', 'x')]),
                raw('DISCONNECT', 0, b'\0', properties(v, ('topic_alias', 1)))], MALFORMED),
    ('2.2.2:foreign', '', 'property that nobody knows', lambda v: [raw('PUBLISH', 0, data('a'), b'\x02\x7e\x00')], MALFORMED),
    ('2.2.2:twice 3.3.2.3.6 3.3.2.3.9', '', 'property twice in PUBLISH',
     lambda v: [publish(v, 'a', *twice(*item)) for item in (
         ('payload_format', 0), ('message_expiry', 1), ('topic_alias', 1), ('correlation_data', b'x'), ('content_type', 'x'))], PROTOCOL),
    ('2.2.2:twice', '', 'reason string twice', lambda v: [
        raw('PUBREC', 0, b'\0\1\0', properties(v, *twice('reason_string', 'x'))),
        raw('DISCONNECT', 0, b'\0', properties(v, *twice('reason_string', 'x')))], PROTOCOL),
    ('3.1.0-2', '3.1.0-2', 'second CONNECT', lambda v: [wire.connect(v, 'second')], PROTOCOL),
    ('3.3.1-2', '3.3.1-2', 'DUP with QoS 0', lambda v: [publish(v, 'a', flags=8)], MALFORMED),
    ('3.3.1-4', '3.3.1-4', 'PUBLISH of QoS 3', lambda v: [publish(v, 'a', flags=6, packet_id=b'\0\1')], MALFORMED),
    ('3.3.2-1', '3.3.2-1', 'PUBLISH that ends within its topic', lambda v: [raw('PUBLISH', 0, b'\0\5abc')], MALFORMED),
    ('3.3.2-2 4.7.0-1', '3.3.2-2 4.7.1-1', 'wildcard in a topic', lambda v: [publish(v, text) for text in ('a/+', '#', 'a+')], TOPIC_NAME),
    ('4.7.3-1 3.3.2.1', '4.7.3-1', 'empty topic', lambda v: [publish(v, '')], PROTOCOL),
    ('3.3.2.1', '', 'topic alias that was never set', lambda v: [publish(v, '', ('topic_alias', 3))], PROTOCOL),
    ('3.3.2-8 3.3.2.3.4', '', 'topic alias 0', lambda v: [publish(v, 'a', ('topic_alias', 0))], ALIAS),
    ('3.3.2-9 3.2.2-17 3.3.2.3.4', '', 'topic alias above the maximum', lambda v: [publish(v, 'a', ('topic_alias', 11))], ALIAS),
    ('3.3.2.3.2:value', '', 'payload format of 2', lambda v: [publish(v, 'a', ('payload_format', 2))], PROTOCOL),
    ('3.3.2-13', '', 'response topic that is not UTF-8', lambda v: [publish(v, 'a', ('response_topic', b'\xff'))], MALFORMED),
    ('3.3.2-14 3.3.2.3.5', '', 'response topic with wildcards',
     lambda v: [publish(v, 'a', ('response_topic', text)) for text in ('a/#', '+')], PROTOCOL),
    ('3.3.2.3.5', '', 'response topic twice', lambda v: [publish(v, 'a', *twice('response_topic', 'x'))], PROTOCOL),
    ('3.3.2-19', '', 'content type that is not UTF-8', lambda v: [publish(v, 'a', ('content_type', b'\xff'))], MALFORMED),
    ('3.3.4-6', '', 'subscription identifier in PUBLISH', lambda v: [publish(v, 'a', ('subscription_id', 1))], PROTOCOL),
    ('3.4.2-1', '', 'PUBACK with a code of another packet', lambda v: [wire.ack(v, 'PUBACK', 1, code) for code in (0x92, 0x01)], PROTOCOL),
    ('3.5.2-1', '', 'PUBREC with a code of another packet', lambda v: [wire.ack(v, 'PUBREC', 1, 0x92)], PROTOCOL),
    ('3.6.2-1', '', 'PUBREL with a code of another packet', lambda v: [wire.ack(v, 'PUBREL', 1, code) for code in (0x10, 0x80)], PROTOCOL),
    ('3.7.2-1', '', 'PUBCOMP with a code of another packet', lambda v: [wire.ack(v, 'PUBCOMP', 1, code) for code in (0x10, 0x80)], PROTOCOL),
    ('3.8.3-1', '3.8.3-1', 'filter that is not UTF-8', lambda v: [subscribe(v, (text, 0)) for text in BAD_UTF8], MALFORMED),
    ('3.8.3-2', '3.8.3-3', 'SUBSCRIBE without a filter', lambda v: [subscribe(v)], PROTOCOL),
    ('3.8.3-4', '', 'No Local on a shared subscription', lambda v: [subscribe(v, ('$share/g/a', 4))], PROTOCOL),
    ('3.8.3-5', '3.8.3-4', 'reserved bits of the options',
     lambda v: [subscribe(v, ('a', bits)) for bits in ((0x40, 0x80) if v == V5 else (0x04, 0x08, 0x10, 0x20, 0x40, 0x80))], MALFORMED),
    ('3.8.3.1', '3.8.3-4', 'subscription of QoS 3', lambda v: [subscribe(v, ('a', 3))], PROTOCOL),
    ('3.8.3.1', '', 'retain handling 3', lambda v: [subscribe(v, ('a', 0x30))], PROTOCOL),
    ('3.8.2.1.2', '', 'subscription identifier 0', lambda v: [subscribe(v, ('a', 0), items=[('subscription_id', 0)])], PROTOCOL),
    ('3.8.2.1.2', '', 'subscription identifier twice',
     lambda v: [subscribe(v, ('a', 0), items=[('subscription_id', 1), ('subscription_id', 2)])], PROTOCOL),
    ('3.10.3-1', '3.10.3-1', 'filter of UNSUBSCRIBE that is not UTF-8', lambda v: [unsubscribe(v, text) for text in BAD_UTF8], MALFORMED),
    ('3.10.3-2', '3.10.3-2', 'UNSUBSCRIBE without a filter', lambda v: [unsubscribe(v)], PROTOCOL),
    ('4.7.1-1 3.8.3:filter', '4.7.1-2', '# where it may not stand',
     lambda v: [subscribe(v, (text, 0)) for text in ('a#', '#/a', 'a/#/b', 'a/b#')], FILTER),
    ('4.7.1-2 3.8.3:filter', '4.7.1-3', '+ within a level', lambda v: [subscribe(v, (text, 0)) for text in ('a+', '+a', 'a/b+/c')], FILTER),
    ('4.7.3-1', '4.7.3-1', 'empty filter', lambda v: [subscribe(v, ('', 0)), unsubscribe(v, '')], FILTER),
    ('4.8.2-1', '', 'shared subscription without a name or a filter',
     lambda v: [subscribe(v, (text, 0)) for text in ('$share//a', '$share/g', '$share/g/', '$share/')], FILTER),
    ('4.8.2-2', '', 'wildcard in the name of a share', lambda v: [subscribe(v, (text, 0)) for text in ('$share/g+/a', '$share/#/a', '$share/+/a')],
     FILTER),
    ('3.14.2-1', '', 'DISCONNECT with a code of a server or of nobody',
     lambda v: [wire.disconnect(v, code) for code in (0x8E, 0x9C, 0x01, 0x7F)], PROTOCOL),
    ('3.14.2.2.2', '', 'DISCONNECT gives a session a life that it had not',
     lambda v: [wire.disconnect(v, 0, [('session_expiry', 5)])], PROTOCOL),
    ('3.15.2-1', '', 'AUTH with a code of another packet', lambda v: [wire.auth(0x01, [('auth_method', 'x')])], PROTOCOL),
    ('3.15.2.2.2', '', 'AUTH without method', lambda v: [wire.auth(0x18, []), wire.auth(0x18, [('auth_data', b'x')])], PROTOCOL),
    ('4.12.0-7', '', 'AUTH though CONNECT had no method', lambda v: [wire.auth(0x18, [('auth_method', 'x')]),
                                                                    wire.auth(0x19, [('auth_method', 'x')])], PROTOCOL),
    ('4.13.1-1', '4.8.0-1', 'PUBACK that is cut short', lambda v: [raw('PUBACK', 0, b'\1')], MALFORMED),
    ('4.13.1-1', '4.8.0-1', 'PUBREL that is too long', lambda v: [raw('PUBREL', 2, b'\0\1' + b'\0' * (3 if v == V5 else 1))], MALFORMED),
)

def will(v, *items, topic='w'):
    return data('fault') + properties(v, *items) + data(topic) + data('')


# the same for CONNECT; what 3.1.1 answers, where it is not the close alone
CONNECT = (
    ('3.1.0-1', '3.1.0-1', 'anything else first', lambda v: [wire.pingreq(), wire.publish(v, 'a'), wire.subscribe(v, 1, [('a', 0)])], (None,), (None,)),
    ('3.1.2-1', '3.1.2-1', 'another protocol name', lambda v: [connect(v, name='MQTX'), connect(v, name='mqtt'), connect(v, name='')],
     (1, None), (1, None)),
    ('3.1.2-2 3.2.2-7', '3.1.2-2 3.2.2-5', 'a version that nobody knows', lambda v: [connect(V311, level=6), connect(V311, level=2)], (0x84, 1), (1,)),
    ('3.1.2-3', '3.1.2-3', 'the reserved flag', lambda v: [connect(v, flags=3)], (MALFORMED,), (None,)),
    ('3.1.2-9', '3.1.2-9', 'a will that is not there', lambda v: [connect(v, flags=6)], (MALFORMED,), (None,)),
    ('3.1.2-11', '3.1.2-11 3.1.2-13', 'the QoS of no will', lambda v: [connect(v, flags=2 | 8)], (MALFORMED,), (None,)),
    ('3.1.2-12', '3.1.2-14', 'a will of QoS 3', lambda v: [connect(v, flags=2 | 4 | 24, payload=will(v))], (MALFORMED,), (None,)),
    ('3.1.2-13', '3.1.2-11 3.1.2-15', 'RETAIN of no will', lambda v: [connect(v, flags=2 | 32)], (MALFORMED,), (None,)),
    ('3.1.2-16 3.1.2-18 3.1.4-1', '3.1.2-18 3.1.2-20 3.1.4-1', 'more than the flags say',
     lambda v: [connect(v, payload=data('fault') + data('user'))], (MALFORMED,), (None,)),
    ('3.1.2-17 3.1.2-19', '3.1.2-19 3.1.2-21', 'less than the flags say',
     lambda v: [connect(v, flags=2 | 128), connect(v, flags=2 | 128 | 64, payload=data('fault') + data('user'))], (MALFORMED,), (None,)),
    ('', '3.1.2-22', 'a password without user name', lambda v: [connect(v, flags=2 | 64, payload=data('fault') + data('p'))], (), (None,)),
    ('3.1.3-1 3.1.3-3', '3.1.3-1 3.1.3-3', 'no client id', lambda v: [connect(v, payload=b'')], (None,), (None,)),
    ('3.1.3-4 1.5.4-1', '3.1.3-4 1.5.3-1', 'a client id that is not UTF-8', lambda v: [connect(v, payload=data(text)) for text in BAD_UTF8],
     (MALFORMED,), (None,)),
    ('3.1.3-11', '3.1.3-10', 'a will topic that is not UTF-8', lambda v: [connect(v, flags=6, payload=will(v, topic=text)) for text in BAD_UTF8],
     (MALFORMED,), (None,)),
    ('4.7.0-1 3.1.3-11', '4.7.1-1', 'a will topic with a wildcard', lambda v: [connect(v, flags=6, payload=will(v, topic='a/+'))],
     (TOPIC_NAME,), (None,)),
    ('3.1.3-12', '3.1.3-11', 'a user name that is not UTF-8',
     lambda v: [connect(v, flags=2 | 128, payload=data('fault') + data(text)) for text in BAD_UTF8], (MALFORMED,), (None,)),
    ('1.5.7-1', '', 'a user property of CONNECT or will that is not UTF-8',
     lambda v: [connect(v, props=prop('user_property', (b'\xff', 'v'))),
                connect(v, flags=6, payload=will(v, ('user_property', ('k', b'\xff'))))], (MALFORMED,), ()),
    ('2.1.3-1', '2.2.2-1..2', 'flags of the fixed header', lambda v: [b'\x11' + wire.connect(v, 'fault')[1:]], (None,), (None,)),
    ('3.1.2.11:twice', '', 'a property twice',
     lambda v: [connect(v, props=prop(*item) * 2) for item in (
         ('session_expiry', 1), ('receive_maximum', 1), ('maximum_packet_size', 9), ('topic_alias_maximum', 1), ('request_response_info', 1),
         ('request_problem_info', 1), ('auth_method', 'x'))], (PROTOCOL,), ()),
    ('3.1.2.11:twice', '', 'authentication data twice',
     lambda v: [connect(v, props=prop('auth_method', 'x') + prop('auth_data', b'x') * 2)], (PROTOCOL,), ()),
    ('3.1.2.11:zero', '', 'Receive Maximum or Maximum Packet Size of 0',
     lambda v: [connect(v, props=prop('receive_maximum', 0)), connect(v, props=prop('maximum_packet_size', 0))], (PROTOCOL,), ()),
    ('3.1.2.11:flag', '', 'a flag of 2',
     lambda v: [connect(v, props=prop('request_response_info', 2)), connect(v, props=prop('request_problem_info', 2))], (PROTOCOL,), ()),
    ('3.1.2.11.10', '', 'authentication data without method', lambda v: [connect(v, props=prop('auth_data', b'x'))], (PROTOCOL,), ()),
    ('3.1.3.2:twice', '', 'a property of the will twice',
     lambda v: [connect(v, flags=6, payload=will(v, *twice(*item))) for item in (('will_delay', 1), ('payload_format', 1))], (PROTOCOL,), ()),
    ('3.1.3.2.3', '', 'a payload format of 2 in the will', lambda v: [connect(v, flags=6, payload=will(v, ('payload_format', 2)))], (PROTOCOL,), ()),
    ('2.2.2:foreign', '', 'a property that CONNECT has not', lambda v: [connect(v, props=prop('topic_alias', 1))], (MALFORMED,), ()),
)


# 3.1 has no rule about these: its flags may be anything, and a user name may be said to come and not come
NOT_IN_31 = {'the reserved flag', 'the QoS of no will', 'RETAIN of no will', 'less than the flags say'}


def live_fault(name, make, code):
    def fault(t):
        for bytes_ in make(t.version):
            client = t.connected(name)
            client.send(bytes_)
            ended(client, code)
    fault.__doc__ = f'{name}: the connection ends; in 5.0 with 0x{code:02X}.'
    return fault


def connect_fault(name, make, five, three):
    def fault(t):
        for bytes_ in make(t.version):
            client = t.client(name)
            client.send(bytes_)
            refused(client, *(five if t.version == V5 else three))
    fault.__doc__ = f'{name}: refused.'
    return fault


def declare():
    for five, three, name, make, code in LIVE:
        statement(five, three, name=name.replace(' ', '_'))(live_fault(name, make, code))
    for five, three, name, make, five_codes, three_codes in CONNECT:
        versions = (V311,) if name in NOT_IN_31 else THREES
        statement(five, three, versions, name=name.replace(' ', '_'))(connect_fault(name, make, five_codes, three_codes))


declare()
