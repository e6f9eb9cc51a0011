"""Malformed and illegal packets (HOSTILE M01..M46): what is sent, and the reaction that is right.

Each row is a test per version. Within a session: MQTT 5 clients hear DISCONNECT with a fitting code, 3.x clients are closed, the
will fires (the broker did not hear a DISCONNECT), and a bystander is served as if nothing had happened. Before the session:
CONNACK with a fitting code or nothing, then the close. Our broker is attacked in the same way.
"""

import random

from lib import wire
from lib.case import chain_test
from lib.wire import V31, V311, V5, Will

ALL, OLD, NEW = (V31, V311, V5), (V31, V311), (V5,)
MALFORMED, PROTOCOL = 0x81, 0x82
BAD = [MALFORMED, PROTOCOL]
NOT_UTF8 = b'\xff\xfe'
SURROGATE = b'\xed\xa0\x80'


def in_session(name, versions, build, codes=tuple(BAD), properties=()):
    """BUILD(version) are bytes sent after CONNACK."""
    def attack(t):
        broker = t.use_shared().broker
        watcher = t.connected('watcher', version=V5, address=broker.address)
        watcher.subscribe((t.topic('will'), 1))
        bystander = t.connected('bystander')
        c = t.connected('c', will=Will(t.topic('will'), b'hostile', 1), **({'properties': properties} if properties else {}))
        c.send_quietly(build(t.version))
        got = c.expect_end(codes)
        assert got is not None or t.version != V5, 'closed without a DISCONNECT'
        watcher.receive(t.topic('will'), 'hostile')
        bystander.subscribe((t.topic('own'), 1))
        bystander.publish(t.topic('other'), b'', 1)
        bystander.fence()

    declare(attack, name, versions)


def at_the_door(name, versions, build, codes=tuple(BAD)):
    """BUILD(version) are the first bytes of a connection."""
    def attack(t):
        t.use_shared()
        bystander = t.connected('bystander')
        c = t.client('c')
        c.version = c.decoder.version = V5 if t.version == V5 else V311
        c.send_quietly(build(t.version))
        c.expect_end(codes)
        bystander.fence()

    declare(attack, name, versions)


def declare(attack, name, versions):
    attack.__name__ = name
    attack.__doc__ = name.replace('_', ' ')
    chain_test(*versions, front=True)(attack)


def raw(kind, flags, body, length=None):
    """A packet with a remaining length of our choice."""
    return bytes([wire.NUMBER[kind] << 4 | flags]) + (wire.varint(len(body)) if length is None else length) + body


def no_props(version):
    return b'\0' if version == V5 else b''


def publish_raw(version, topic, properties=None, qos=0, packet_id=b'', payload=b''):
    return raw('PUBLISH', qos << 1, wire.data(topic) + packet_id + (no_props(version) if properties is None else properties)
               + payload)


def subscribe_raw(version, body, packet_id=b'\0\1', flags=2):
    return raw('SUBSCRIBE', flags, packet_id + no_props(version) + body)


def connect_with(version, flags=2, body=None, level=None, name=None, properties=None):
    """A CONNECT from its parts."""
    head = wire.data(('MQIsdp' if version == V31 else 'MQTT') if name is None else name)
    return raw('CONNECT', 0, head + bytes([version if level is None else level, flags]) + b'\0\x3c' +
               (no_props(version) if properties is None else properties) + (wire.data('id') if body is None else body))


def prop_section(*parts):
    body = b''.join(parts)
    return wire.varint(len(body)) + body


# ---- the first packet. MQTT 3.1 has no rule for the will's flags without a will, nor for the reserved flag.

at_the_door('m01_first_packet_is_publish', ALL, lambda v: wire.publish(v, 'a', b''))
at_the_door('m01_first_packet_is_auth', NEW, lambda v: wire.auth(0x18, [('auth_method', 'x')]))
at_the_door('m01_first_packet_is_pingreq', ALL, lambda v: wire.pingreq())
at_the_door('m03_connect_with_remaining_length_of_five_bytes', ALL, lambda v: b'\x10\x80\x80\x80\x80\x01')
at_the_door('m04_connect_with_remaining_length_not_minimal', ALL,
            lambda v: b'\x10' + bytes([len(connect_with(v)) - 2 | 128, 0]) + connect_with(v)[2:])
at_the_door('m07_client_id_not_utf8', ALL, lambda v: connect_with(v, body=wire.data(NOT_UTF8)), [0x81, 0x85, 2])
at_the_door('m07_client_id_with_a_surrogate', ALL, lambda v: connect_with(v, body=wire.data(SURROGATE)), [0x81, 0x85, 2])
at_the_door('m11_will_topic_not_utf8', ALL, lambda v: connect_with(
    v, 6, wire.data('id') + no_props(v) + wire.data(NOT_UTF8) + wire.data('')))
at_the_door('m11_user_name_not_utf8', ALL, lambda v: connect_with(v, 0x82, wire.data('id') + wire.data(NOT_UTF8)), [0x81, 4])
at_the_door('m12_nul_in_client_id', ALL, lambda v: connect_with(v, body=wire.data('a\0b')), [0x81, 0x85, 2])
at_the_door('m14_will_topic_with_wildcard', ALL, lambda v: wire.connect(v, 'id', will=Will('a/#')), [0x81, 0x82, 0x90])
at_the_door('m20_reserved_connect_flag', (V311, V5), lambda v: connect_with(v, 3))
at_the_door('m20_will_qos_3', ALL, lambda v: connect_with(v, 2 | 4 | 0x18, wire.data('id') + no_props(v) + wire.data('w') * 2))
at_the_door('m20_will_qos_without_will', (V311, V5), lambda v: connect_with(v, 2 | 8))
at_the_door('m20_will_retain_without_will', (V311, V5), lambda v: connect_with(v, 2 | 0x20))
at_the_door('m20_password_without_user_name', OLD, lambda v: connect_with(v, 2 | 0x40, wire.data('id') + wire.data('p')))
at_the_door('m21_empty_connect', ALL, lambda v: raw('CONNECT', 0, b''))
at_the_door('m21_connect_with_extra_bytes', ALL, lambda v: connect_with(v, body=wire.data('id') + b'extra'))
at_the_door('m22_unknown_protocol_name', ALL, lambda v: connect_with(v, name='MQTX'), [0x84, 1, 0x81, 0x82])
at_the_door('m22_unknown_protocol_level', ALL, lambda v: connect_with(v, level=6), [0x84, 1])
at_the_door('m22_name_of_one_version_level_of_another', ALL, lambda v: connect_with(v, level=4 if v == V31 else 3), [0x84, 1])
at_the_door('m28_connect_property_twice', NEW, lambda v: wire.connect(v, 'id', properties=[('receive_maximum', 1)] * 2))
at_the_door('m29_property_of_another_packet', NEW, lambda v: wire.connect(v, 'id', properties=[('topic_alias', 1)]))
at_the_door('m29_unknown_property', NEW, lambda v: connect_with(v, properties=prop_section(b'\x7f\0')))
at_the_door('m30_property_length_past_the_packet', NEW, lambda v: connect_with(v, properties=b'\x7f'))
at_the_door('m30_property_length_of_five_bytes', NEW, lambda v: connect_with(v, properties=b'\x80\x80\x80\x80\x01'))
at_the_door('m31_receive_maximum_0', NEW, lambda v: wire.connect(v, 'id', properties=[('receive_maximum', 0)]))
at_the_door('m31_maximum_packet_size_0', NEW, lambda v: wire.connect(v, 'id', properties=[('maximum_packet_size', 0)]))
at_the_door('m34_will_response_topic_with_wildcard', NEW,
            lambda v: wire.connect(v, 'id', will=Will('w', properties=[('response_topic', 'a/+')])), [0x81, 0x82, 0x90])
at_the_door('m35_will_payload_format_2', NEW,
            lambda v: wire.connect(v, 'id', will=Will('w', properties=[('payload_format', 2)])), [0x81, 0x82, 0x99])
at_the_door('m37_authentication_data_without_method', NEW, lambda v: wire.connect(v, 'id', properties=[('auth_data', b'x')]))
at_the_door('m36_unknown_authentication_method', NEW, lambda v: wire.connect(v, 'id', properties=[('auth_method', 'x')]), [0x8C])
at_the_door('m46_http', ALL, lambda v: b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
at_the_door('m46_tls_hello', ALL, lambda v: bytes.fromhex('160301020001 0001fc0303') + bytes(512))
at_the_door('m46_proxy_header', ALL, lambda v: b'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n' + wire.connect(v, 'id'))

# ---- within a session

in_session('m02_second_connect', ALL, lambda v: wire.connect(v, 'again'))
in_session('m03_remaining_length_of_five_bytes', ALL, lambda v: b'\x30\x80\x80\x80\x80\x01')
in_session('m04_remaining_length_not_minimal', ALL, lambda v: b'\xc0\x80\x00')
in_session('m05_packet_type_0', ALL, lambda v: b'\0\0')
in_session('m05_auth_in_3_x', OLD, lambda v: b'\xf0\0')
for kind, build in (('connack', wire.connack), ('suback', lambda v: wire.suback(v, 1, [0])),
                    ('unsuback', lambda v: wire.unsuback(v, 1, [0])), ('pingresp', lambda v: wire.pingresp())):
    in_session(f'm06_{kind}_from_a_client', ALL, build)
in_session('m08_topic_not_utf8', ALL, lambda v: publish_raw(v, NOT_UTF8), [0x81, 0x90])
in_session('m08_topic_with_an_overlong_form', ALL, lambda v: publish_raw(v, b'\xc0\xaf'), [0x81, 0x90])
in_session('m09_filter_not_utf8', ALL, lambda v: subscribe_raw(v, wire.data(NOT_UTF8) + b'\0'))
in_session('m10_user_property_not_utf8', NEW,
           lambda v: publish_raw(v, 'a', prop_section(b'\x26', wire.data('k'), wire.data(NOT_UTF8))))
in_session('m12_nul_in_topic', ALL, lambda v: publish_raw(v, 'a\0b'), [0x81, 0x82, 0x90])
in_session('m12_nul_in_filter', ALL, lambda v: subscribe_raw(v, wire.data('a\0b') + b'\0'))
in_session('m12_nul_in_user_property', NEW,
           lambda v: publish_raw(v, 'a', prop_section(b'\x26', wire.data('k\0'), wire.data('v'))))
in_session('m14_topic_with_plus', ALL, lambda v: publish_raw(v, 'a/+'), [0x90, 0x82, 0x81])
in_session('m14_topic_with_hash', ALL, lambda v: publish_raw(v, '#'), [0x90, 0x82, 0x81])
in_session('m15_empty_topic', ALL, lambda v: publish_raw(v, ''), [0x82, 0x81, 0x90])
in_session('m16_qos_3', ALL, lambda v: publish_raw(v, 'a', qos=3, packet_id=b'\0\1'))
in_session('m17_dup_on_qos_0', ALL, lambda v: raw('PUBLISH', 8, wire.data('a') + no_props(v)))
in_session('m18_publish_with_packet_id_0', ALL, lambda v: publish_raw(v, 'a', qos=1, packet_id=b'\0\0'))
in_session('m18_subscribe_with_packet_id_0', ALL, lambda v: subscribe_raw(v, wire.data('a') + b'\0', b'\0\0'))
in_session('m18_unsubscribe_with_packet_id_0', ALL, lambda v: wire.unsubscribe(v, 0, ['a']))
for kind, build in (('pubrel', lambda v: raw('PUBREL', 0, b'\0\1')),
                    ('subscribe', lambda v: subscribe_raw(v, wire.data('a') + b'\0', flags=0)),
                    ('unsubscribe', lambda v: raw('UNSUBSCRIBE', 0, b'\0\1' + no_props(v) + wire.data('a'))),
                    ('pingreq', lambda v: b'\xc1\0'), ('disconnect', lambda v: b'\xe8\0'),
                    ('puback', lambda v: raw('PUBACK', 1, b'\0\1'))):
    in_session(f'm19_reserved_bits_of_{kind}', ALL, build)
in_session('m21_pingreq_with_a_body', ALL, lambda v: b'\xc0\x01x')
in_session('m23_subscribe_without_filter', ALL, lambda v: subscribe_raw(v, b''))
in_session('m23_subscribe_without_options', ALL, lambda v: subscribe_raw(v, wire.data('a')))
in_session('m23_filter_cut_short', ALL, lambda v: subscribe_raw(v, b'\0\5ab'))
in_session('m24_subscribe_qos_3', ALL, lambda v: subscribe_raw(v, wire.data('a') + b'\3'))
in_session('m24_reserved_option_bits', ALL, lambda v: subscribe_raw(v, wire.data('a') + (b'\xc0' if v == V5 else b'\x04')))
in_session('m24_retain_handling_3', NEW, lambda v: subscribe_raw(v, wire.data('a') + b'\x30'))
in_session('m26_no_local_on_a_shared_subscription', NEW, lambda v: subscribe_raw(v, wire.data('$share/g/t') + b'\x05'))
in_session('m27_unsubscribe_without_filter', ALL, lambda v: wire.unsubscribe(v, 1, []))
in_session('m28_publish_property_twice', NEW, lambda v: wire.publish(v, 'a', properties=[('content_type', 'x')] * 2))
in_session('m29_property_of_another_packet_in_publish', NEW,
           lambda v: wire.publish(v, 'a', properties=[('session_expiry', 1)]))
in_session('m29_unknown_property_in_publish', NEW, lambda v: publish_raw(v, 'a', prop_section(b'\x7f\0')))
in_session('m30_property_length_past_the_packet_in_publish', NEW, lambda v: publish_raw(v, 'a', b'\x20'))
in_session('m30_property_length_of_five_bytes_in_publish', NEW, lambda v: publish_raw(v, 'a', b'\x80\x80\x80\x80\x01'))
in_session('m30_property_cut_short', NEW, lambda v: publish_raw(v, 'a', prop_section(b'\x03\0\5ab')))
in_session('m31_subscription_identifier_0', NEW, lambda v: wire.subscribe(v, 1, [('a', 0)], [('subscription_id', 0)]))
in_session('m32_alias_0', NEW, lambda v: wire.publish(v, 'a', properties=[('topic_alias', 0)]), [0x94, 0x82])
in_session('m32_alias_above_the_maximum', NEW, lambda v: wire.publish(v, 'a', properties=[('topic_alias', 11)]), [0x94])
in_session('m32_alias_never_set', NEW, lambda v: wire.publish(v, '', properties=[('topic_alias', 5)]), [0x82, 0x94])
in_session('m33_publish_with_a_subscription_identifier', NEW,
           lambda v: wire.publish(v, 'a', properties=[('subscription_id', 1)]))
in_session('m34_response_topic_with_wildcard', NEW,
           lambda v: wire.publish(v, 'a', properties=[('response_topic', 'a/#')]), [0x82, 0x81, 0x90])
in_session('m35_payload_format_2', NEW, lambda v: wire.publish(v, 'a', properties=[('payload_format', 2)]), [0x82, 0x81, 0x99])
in_session('m36_auth_in_a_session_without_a_method', NEW, lambda v: wire.auth(0x19, [('auth_method', 'x')]), [0x82, 0x8C])
for kind in ('PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP'):
    in_session(f'm38_{kind.lower()}_with_a_code_it_does_not_have', NEW, lambda v, k=kind: wire.ack(v, k, 1, 0x8E))
in_session('m38_disconnect_with_a_code_it_does_not_have', NEW, lambda v: wire.disconnect(v, 0x01))
in_session('m41_disconnect_raises_session_expiry_from_0', NEW, lambda v: wire.disconnect(v, 0, [('session_expiry', 10)]))
@chain_test(*ALL, front=True)
def m21_connect_cut_at_every_byte(t):
    """However short a CONNECT is: closed, and never taken for a whole one. (In 3.1 user name and password may be missing
    although their flags are set, so there the will comes last.)"""
    t.use_shared()
    credentials = {} if t.version == V31 else {'username': 'u', 'password': b'p'}
    whole = wire.connect(t.version, 'id', will=Will('w', b'p'), **credentials)
    body = whole[2:]
    for cut in range(len(body)):
        c = t.client('c')
        c.send_quietly(raw('CONNECT', 0, body[:cut]))
        c.expect_end([MALFORMED, PROTOCOL, 0x84, 0x85, 1, 2])
    t.connected('bystander').fence()


@chain_test(*ALL, front=True)
def m25_wrong_filters_are_never_granted(t):
    """SUBACK with a failure or the end of the connection."""
    t.use_shared()
    shared = ['$share/g', '$share//t', '$share/+/t', '$share/g/'] if t.version == V5 else []
    for wrong in ['a#', '#/a', 'a+', '+a', ''] + shared:
        c = t.client('c')
        c.connect()
        c.send(wire.subscribe(t.version, 1, [(wrong, 0)]))
        got = c.next()
        c.note(f'{wrong!r}: {got!r}')
        if got != 'closed' and got.kind == 'SUBACK':
            assert got.codes[0] >= 0x80, f'{wrong!r} granted'
        elif got != 'closed':
            assert got.kind == 'DISCONNECT' and got.code in (0x81, 0x82, 0x8F), got
        c.close()


@chain_test(front=True)
def random_bytes_harm_nobody(t):
    """M46: 300 connections with random bytes, raw and behind a good CONNECT; nobody else notices. The seed is in the message."""
    world = t.use_shared()
    bystander = t.connected('bystander')
    for seed in range(300):
        source = random.Random(seed)
        c = t.client(f'seed {seed}')
        noise = source.randbytes(source.choice((1, 5, 50, 500, 5000)))
        if seed % 2:
            c.connect()
        c.send_quietly(noise)
        c.close()
        if seed % 20 == 0:
            bystander.fence()
        assert all(p.is_running() for p in world.programs), f'seed {seed}'
    bystander.fence()


@chain_test(front=True)
def changed_packets_harm_nobody(t):
    """500 sessions whose packets have a few bytes changed: served or closed, never a fault."""
    world = t.use_shared()
    bystander = t.connected('bystander')
    for seed in range(500):
        source = random.Random(seed)
        version = source.choice(ALL)
        c = t.client(f'seed {seed}', version=version)
        stream = bytearray(session_of(version, source))
        for _ in range(source.randrange(1, 4)):
            stream[source.randrange(len(stream))] = source.randrange(256)
        c.send_quietly(bytes(stream))
        c.close()
        if seed % 20 == 0:
            bystander.fence()
        assert all(p.is_running() for p in world.programs), f'seed {seed}'
    bystander.fence()


def session_of(version, source):
    properties = [('user_property', ('a', 'b')), ('content_type', 'x'), ('message_expiry', 5)] if version == V5 else []
    return b''.join((
        wire.connect(version, f'changed-{source.random()}', will=Will('w', b'x')), wire.subscribe(version, 1, [('changed/#', 2)]),
        wire.publish(version, 'changed/a', b'payload', 0, properties=properties),
        wire.publish(version, 'changed/b', b'payload', 1, 1, properties=properties),
        wire.publish(version, 'changed/c', b'payload', 2, 2, properties=properties), wire.ack(version, 'PUBREL', 2),
        wire.unsubscribe(version, 2, ['changed/#']), wire.pingreq(), wire.disconnect(version)))


@chain_test(V5, front=True)
def m43_topics_of_the_broker_stay_its_own(t):
    """# and + do not match $ topics, and $SYS cannot be written."""
    t.use_shared()
    c = t.connected('c')
    c.subscribe(('#', 0), ('+/x', 0), ('$SYS/x', 0))
    other = t.connected('other')
    other.send(wire.publish(V5, '$SYS/x', b'forged', 1, 1))
    got = other.next()
    assert got == 'closed' or got.kind == 'DISCONNECT' or got.kind == 'PUBACK', got
    c.is_quiet = True
    c.send(wire.pingreq())
    while True:
        got = c.next()
        if got.kind == 'PINGRESP':
            break
        assert not got.topic.startswith('$'), got


@chain_test(V5, front=True)
def r10_more_than_the_receive_maximum(t):
    """QoS 2 messages above Receive Maximum, never released: no more than that many are accepted, then the connection ends. The
    limit is the broker's; mosquitto 2.0 says 0x97 in a PUBREC, or nothing, before it closes."""
    t.use_shared()
    c = t.client('c')
    maximum = c.connect().prop('receive_maximum')
    c.is_quiet = True
    c.send_quietly(b''.join(wire.publish(V5, t.topic('a'), b'', 2, i) for i in range(1, 100)))
    accepted = 0
    while True:
        got = c.next()
        if got == 'closed':
            break
        assert got.kind == 'PUBREC' and got.code in (0, 0x10, 0x97) or got.kind == 'DISCONNECT' and got.code in (0x93, 0x8B), got
        accepted += got.kind == 'PUBREC' and got.code < 0x80
    assert accepted <= maximum, accepted
    t.connected('bystander').fence()


@chain_test(V5, front=True)
def r04_sixty_thousand_user_properties(t):
    """In CONNECT and in PUBLISH: served or refused in bounded time, a bystander goes on."""
    t.use_shared()
    bystander, sub = t.connected('bystander'), t.connected('sub')
    sub.subscribe((t.topic('a'), 0))
    many = [('user_property', ('k', 'v'))] * 60000
    c = t.connected('c', properties=many)
    c.send(wire.publish(V5, t.topic('a'), b'x', properties=many))
    bystander.fence()
    got = sub.receive(t.topic('a'), 'x')
    assert len(got.prop('user_property')) == 60000


@chain_test(*ALL, front=True)
def r05_topics_of_65000_slashes(t):
    """Served or refused by the broker, no harm in between."""
    t.use_shared()
    c = t.client('c')
    c.connect()
    c.send(wire.subscribe(t.version, 1, [('/' * 65000, 0)]))
    got = c.next()
    assert got == 'closed' or got.kind in ('SUBACK', 'DISCONNECT'), got
    c = t.client('c2')
    c.connect()
    c.send(wire.publish(t.version, '/' * 65000, b'', 1, 1))
    got = c.next()
    assert got == 'closed' or got.kind in ('PUBACK', 'DISCONNECT'), got
    t.connected('bystander').fence()


@chain_test(V5, release=True)
def r06_a_client_with_a_hundred_thousand_filters(t):
    """100 SUBSCRIBEs of 1,000 filters each, then it leaves, three times: with --max-subscriptions 500 the broker sees 500, each of the
    others hears 0x97, and neither proxy keeps anything."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    r_proxy = t.r_proxy(s_proxy.target, '--max-subscriptions', '500')
    bystander = t.connected('bystander')
    grown = []
    for turn in range(3):
        c = t.connected(f'c{turn}')
        c.is_quiet = True
        for i in range(100):
            c.send(wire.subscribe(V5, i + 1, [(t.topic(f'{turn}/{i}/{j}'), 0) for j in range(1000)]))
            codes = c.expect('SUBACK', packet_id=i + 1).codes
            assert codes == ([0] * 500 + [0x97] * 500 if i == 0 else [0x97] * 1000), (turn, i)
        bystander.fence()
        c.disconnect()
        grown.append(r_proxy.resident_bytes() + s_proxy.resident_bytes())
    assert grown[2] < grown[0] + (2 << 20), grown
    assert r_proxy.metric('rproxy_subscriptions_over_limit_total') == 3 * 99500
    log = [line for line in r_proxy.log().split('\n') if 'refused because of max-subscriptions' in line]
    assert len(log) == 5, len(log)


@chain_test(V311, V5, release=True)
def r11_one_identifier_for_hundreds_of_messages(t):
    """QoS 2, 60 kB each, never released (mosquitto would close at the third): neither proxy grows with them."""
    broker = t.scripted()
    _, s_proxy, r_proxy = t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    upstream = t.serve(broker)
    c.expect('CONNACK')
    c.is_quiet = upstream.is_quiet = True
    for i in range(300):
        if i == 20:
            before = r_proxy.resident_bytes() + s_proxy.resident_bytes()
        c.send(wire.publish(t.version, t.topic(), b'x' * 60000, 2, 1, dup=i > 0))
        upstream.expect('PUBLISH', packet_id=1)
        upstream.send(wire.ack(t.version, 'PUBREC', 1))
        c.expect('PUBREC', packet_id=1)
    grown = r_proxy.resident_bytes() + s_proxy.resident_bytes() - before
    assert grown < 4 << 20, grown


@chain_test(V5, release=True)
def r21_long_topics_behind_aliases(t):
    """50 connections set ten aliases of 60 kB each: they are the broker's to keep, not the proxies'."""
    _, s_proxy, r_proxy = t.chain(t.mosquitto())
    before = r_proxy.resident_bytes() + s_proxy.resident_bytes()
    for i in range(50):
        c = t.connected(f'c{i}')
        c.is_quiet = True
        for alias in range(1, 11):
            c.send(wire.publish(V5, f'{alias}' + 'x' * 60000, b'', 0, properties=[('topic_alias', alias)]))
        c.fence()
    grown = r_proxy.resident_bytes() + s_proxy.resident_bytes() - before
    assert grown < 12 << 20, grown      # 30 MB if one of them kept them
