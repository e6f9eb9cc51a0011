"""MQTT 5.0 chapters 3.3 to 3.7, 4.3 to 4.6, 4.9 and their like in 3.1.1, at mqtt-broker: messages and their acknowledgements."""

import time

from lib import wire
from lib.statements import ended, kept, nothing_came, present, statement, take_retained_away
from lib.wire import V5

RETAIN_AS_PUBLISHED = 8
RETAIN_HANDLING = {0: 0, 1: 0x10, 2: 0x20}
WINDOW = 20             # of the broker that the tests share


def pair(t, qos=2, options=0, **connect):
    sub = t.connected('sub', **connect)
    sub.subscribe((t.topic('x'), qos | options))
    return t.connected('pub'), sub


# ---- fixed header


@statement('3.3.1-1 4.4.0-1 4.3.2-3 4.3.3-3 2.2.1-4', '3.3.1-1 4.4.0-1 2.3.1-3..4')
def what_was_not_acknowledged_is_sent_again(t):
    """After a reconnect that resumes the session: with DUP, with the same identifiers, in their order; and only then."""
    pub, sub = pair(t, **kept(t))
    for qos in (1, 2, 1):
        pub.publish(t.topic('x'), b'%d' % qos, qos)
    first = [sub.expect('PUBLISH', dup=0) for _ in range(3)]
    assert len({got.packet_id for got in first} | {0}) == 4, first
    sub.fence()
    sub.close()
    again = t.client('sub')
    again.connect(present=present(t, True), **kept(t))
    sent_again = again.receive_many(count=3)
    assert [(got.packet_id, got.payload, got.qos, got.dup) for got in sent_again] == [
        (got.packet_id, got.payload, got.qos, 1) for got in first], sent_again
    again.fence()


@statement('4.4.0-1 4.3.3-4 4.3.3-5 4.3.3-6', '4.4.0-1 4.3.3-1')
def pubrel_is_sent_again_and_publish_is_not(t):
    """Once PUBREC has come, PUBREL is what is repeated until PUBCOMP."""
    pub, sub = pair(t, **kept(t))
    pub.publish(t.topic('x'), b'two', 2)
    got = sub.expect('PUBLISH', qos=2)
    for name in ('first', 'second'):
        if name == 'first':
            sub.send(wire.ack(t.version, 'PUBREC', got.packet_id))
        sub.expect('PUBREL', packet_id=got.packet_id)
        sub.close()
        sub = t.client('sub')
        sub.connect(present=present(t, True), **kept(t))
    sub.expect('PUBREL', packet_id=got.packet_id)
    sub.send(wire.ack(t.version, 'PUBCOMP', got.packet_id))
    sub.fence()
    sub.close()
    sub = t.client('sub')
    sub.connect(present=present(t, True), **kept(t))
    sub.fence()


@statement('4.4.0-2 4.3.3-4')
def a_refused_message_is_done(t):
    """PUBACK and PUBREC of 0x80 and above: no PUBREL, nothing is sent again, the identifier is free."""
    pub, sub = pair(t, **kept(t))
    for qos, kind in ((1, 'PUBACK'), (2, 'PUBREC')):
        pub.publish(t.topic('x'), b'no', qos)
        got = sub.expect('PUBLISH', qos=qos)
        sub.send(wire.ack(V5, kind, got.packet_id, 0x80))
        sub.fence()
    sub.close()
    sub = t.client('sub')
    sub.connect(present=True, **kept(t))
    sub.fence()


@statement('3.3.1-2 4.3.1-1 2.2.1-2', '3.3.1-2 4.3.1-1 2.3.1-5')
def qos_0(t):
    """No identifier (it would be payload), no DUP."""
    pub, sub = pair(t)
    pub.publish(t.topic('x'), b'zero')
    got = sub.receive(t.topic('x'), b'zero', qos=0, dup=0)
    assert got.packet_id is None, got


@statement('3.3.1-3 4.3.2-2 4.3.3-2', '3.3.1-3')
def dup_is_not_forwarded(t):
    """It says of each packet whether that is a repetition, of that packet alone."""
    pub, sub = pair(t)
    for qos in (1, 2):
        packet_id = pub.new_id()
        pub.send(wire.publish(t.version, t.topic('x'), b'again', qos, packet_id, dup=True))
        if qos == 1:
            pub.expect('PUBACK', packet_id=packet_id)
        else:
            pub.expect('PUBREC', packet_id=packet_id)
            pub.send(wire.ack(t.version, 'PUBREL', packet_id))
            pub.expect('PUBCOMP', packet_id=packet_id)
        sub.receive(t.topic('x'), b'again', dup=0, qos=qos)


# ---- retained messages


@statement('3.3.1-5 3.3.1-9', '3.3.1-5..6 3.3.1-8')
def a_retained_message_replaces_the_one_before(t):
    """Who subscribes gets the last one, marked as retained."""
    pub = t.connected('pub')
    for payload in (b'old', b'new'):
        pub.publish(t.topic('x'), payload, 1, retain=True)
    sub = t.connected('sub')
    sub.subscribe((t.topic('x'), 1))
    sub.receive(t.topic('x'), b'new', retain=1)
    sub.fence()
    take_retained_away(t, 'x')


@statement('3.3.1-5', '3.3.1-7')
def a_retained_message_of_qos_0_replaces_too(t):
    """The one of QoS 1 is gone."""
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'one', 1, retain=True)
    pub.publish(t.topic('x'), b'zero', 0, retain=True)
    sub = t.connected('sub')
    sub.subscribe((t.topic('x'), 1))
    got = sub.next()
    assert got.kind == 'PUBLISH' and got.payload == b'zero' and got.qos == 0, got
    take_retained_away(t, 'x')


@statement('3.3.1-6 3.3.1-7', '3.3.1-10..11')
def an_empty_payload_removes_it(t):
    """Who has subscribed gets it as any message, who comes later gets nothing."""
    pub, sub = pair(t)
    pub.publish(t.topic('x'), b'kept', 1, retain=True)
    sub.receive(t.topic('x'), b'kept')
    pub.publish(t.topic('x'), b'', 1, retain=True)
    sub.receive(t.topic('x'), b'')
    late = t.connected('late')
    late.subscribe((t.topic('x'), 1))
    nothing_came(pub, late)


@statement('3.3.1-8', '3.3.1-12')
def without_retain_nothing_changes(t):
    """The retained message stays as it is, whether the other has a payload or not."""
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'kept', 1, retain=True)
    pub.publish(t.topic('x'), b'passing', 1)
    pub.publish(t.topic('x'), b'', 1)
    late = t.connected('late')
    late.subscribe((t.topic('x'), 1))
    late.receive(t.topic('x'), b'kept', retain=1)
    nothing_came(pub, late)
    take_retained_away(t, 'x')


@statement('3.3.1-9 3.3.1-10 3.3.1-11')
def retain_handling(t):
    """0: at every SUBSCRIBE; 1: where the subscription is new; 2: never."""
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'kept', 1, retain=True)
    for handling, first, second in ((0, True, True), (1, True, False), (2, False, False)):
        sub = t.connected(f'sub{handling}')
        for is_sent in (first, second):
            sub.subscribe((t.topic('x'), 1 | RETAIN_HANDLING[handling]))
            if is_sent:
                sub.receive(t.topic('x'), b'kept', retain=1)
            nothing_came(pub, sub)
    take_retained_away(t, 'x')


@statement('3.3.1-12 3.3.1-13', '3.3.1-9')
def retain_as_published(t):
    """Without it RETAIN is 0 at whoever has subscribed already; with it (5.0) as it was published."""
    plain = t.connected('plain')
    plain.subscribe((t.topic('x'), 1))
    pub = t.connected('pub')
    if t.version == V5:
        same = t.connected('same')
        same.subscribe((t.topic('x'), 1 | RETAIN_AS_PUBLISHED))
    for retain in (True, False):
        pub.publish(t.topic('x'), b'now', 1, retain=retain)
        plain.receive(t.topic('x'), b'now', retain=0)
        if t.version == V5:
            same.receive(t.topic('x'), b'now', retain=int(retain))
    take_retained_away(t, 'x')


# ---- topic, properties


@statement('3.3.2-3 4.7.3-4', '3.3.2-3 4.7.3-4')
def a_topic_arrives_as_it_was_sent(t):
    """Byte for byte: nothing is normalised, case and blanks and slashes count."""
    topics = [t.topic(rest) for rest in ('Aa', 'a\u0308', '\u00e4', ' x ', '/', '//', 'a//b', '\U0001F600', 'x' * 1000)]
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('#'), 1))
    for topic in topics:
        pub.publish(topic, topic.encode(), 1)
        assert sub.receive().topic == topic
    one = t.connected('one')
    one.subscribe((t.topic('a\u0308'), 1))
    pub.publish(t.topic('\u00e4'), b'other', 1)
    pub.publish(t.topic('A\u0308'), b'other', 1)
    nothing_came(pub, one)


@statement('1.5.4-3', '1.5.3-3')
def a_byte_order_mark_is_a_character(t):
    """U+FEFF stays in topics, and a topic without it is another."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('\ufeffx'), 1))
    pub.publish(t.topic('x'), b'other', 1)
    pub.publish(t.topic('\ufeffx'), b'marked', 1)
    sub.receive(t.topic('\ufeffx'), b'marked')


@statement('4.7.3-1 4.7.3-3 4.2-1', '4.7.3-1 4.7.3-3 4.2.0-1')
def topics_of_one_and_of_65535_bytes(t):
    """Both are topics, and filters."""
    sub, pub = t.connected('sub'), t.connected('pub')
    longest = ('long/' + 'y' * 65535)[:65535]
    for topic in ('~', longest):
        sub.subscribe((topic, 1))
        pub.publish(topic, b'x' * 70000, 1)
        got = sub.receive()
        assert got.topic == topic and len(got.payload) == 70000
        sub.unsubscribe(topic)


FORWARDED = [('payload_format', 1), ('response_topic', 'answer/\ufeff'), ('correlation_data', b'\0\xff\0'), ('content_type', 'text/\u00fc'),
             ('user_property', ('z', '1')), ('user_property', ('a', '')), ('user_property', ('z', '1')), ('user_property', ('', '\ufeff'))]


@statement('3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 1.5.4-3')
def properties_are_forwarded(t):
    """All as they are, user properties in their order: at once, from a queue, retained."""
    pub, sub = pair(t, **kept(t))
    pub.publish(t.topic('x'), b'now', 2, properties=FORWARDED, retain=True)
    assert sub.receive(t.topic('x'), b'now').properties == FORWARDED
    sub.disconnect()
    pub.publish(t.topic('x'), b'later', 1, properties=FORWARDED)
    sub = t.client('sub')
    sub.connect(present=True, **kept(t))
    assert sub.receive(t.topic('x'), b'later').properties == FORWARDED
    late = t.connected('late')
    late.subscribe((t.topic('x'), 1))
    assert late.receive(t.topic('x'), b'now', retain=1).properties == FORWARDED
    take_retained_away(t, 'x')


@statement('3.3.2-5 3.3.2-6')
def a_message_expires(t):
    """What waits longer than its interval is gone; what does not goes out with what is left of it."""
    pub, sub = pair(t, **kept(t))
    sub.disconnect()
    for interval in (1, 100):
        pub.publish(t.topic('x'), b'%d' % interval, 1, properties=[('message_expiry', interval)])
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        time.sleep(deadline - time.monotonic() + 0.01)      # the time itself is what it expires by
    sub = t.client('sub')
    sub.connect(present=True, **kept(t))
    left = sub.receive(t.topic('x'), b'100').prop('message_expiry')
    assert left in (97, 98, 99), left
    sub.fence()


@statement('4.3.3-7 4.3.3-13')
def what_has_been_sent_does_not_expire(t):
    """A QoS 2 message whose PUBLISH has gone is sent again after its time, and taken to its end; so is one that came."""
    pub, sub = pair(t, **kept(t))
    packet_id = pub.new_id()
    pub.send(wire.publish(V5, t.topic('x'), b'short', 2, packet_id, properties=[('message_expiry', 1)]))
    pub.expect('PUBREC', packet_id=packet_id)
    sub.expect('PUBLISH', payload=b'short')
    sub.close()
    deadline = time.monotonic() + 1.2
    while time.monotonic() < deadline:
        time.sleep(deadline - time.monotonic() + 0.01)
    pub.send(wire.ack(V5, 'PUBREL', packet_id))
    pub.expect('PUBCOMP', packet_id=packet_id, code=0)
    sub = t.client('sub')
    sub.connect(present=True, **kept(t))
    sub.receive(t.topic('x'), b'short', dup=1)


@statement('3.3.2-7 3.3.2-12')
def aliases_of_a_client(t):
    """Each from one to the maximum may be set, used, set anew; they end with the connection."""
    sub, pub = t.connected('sub'), t.connected('pub', **kept(t))
    sub.subscribe((t.topic('#'), 0))
    for alias in (1, 10):
        for topic in ('old', 'new'):
            name = t.topic(f'{topic}{alias}')
            pub.send(wire.publish(V5, name, b'set', properties=[('topic_alias', alias)]),
                     wire.publish(V5, '', b'used', properties=[('topic_alias', alias)]))
            for payload in (b'set', b'used'):
                got = sub.receive(name, payload)
                assert got.prop('topic_alias') is None, got
    pub.close()
    pub = t.client('pub')
    pub.connect(present=True, **kept(t))
    pub.send(wire.publish(V5, '', b'lost', properties=[('topic_alias', 1)]))
    ended(pub, 0x82)


# ---- subscriptions that overlap


@statement('3.3.4-2 3.3.4-3 3.3.4-4 3.3.4-5', '3.3.5-1')
def overlapping_subscriptions(t):
    """The highest QoS among them is used, and every identifier arrives: on one copy, or each on its own."""
    sub, pub = t.connected('sub'), t.connected('pub')
    for at, (rest, qos) in enumerate((('x', 0), ('+', 2), ('#', 1)), 1):
        sub.subscribe((t.topic(rest), qos), properties=[('subscription_id', at)] if t.version == V5 else ())
    pub.publish(t.topic('x'), b'2', 2)
    got = sub.receive(t.topic('x'), b'2', qos=2)
    found = got.prop('subscription_id')
    while t.version == V5 and len(found) < 3:
        found += sub.receive(t.topic('x'), b'2').prop('subscription_id')
    assert t.version != V5 or sorted(found) == [1, 2, 3], found
    nothing_came(pub, sub)


@statement('', '3.3.5-2')
def what_is_not_allowed_is_acknowledged_or_closes(t):
    """3.1.1 has no way to say no: an acknowledgement, and nobody gets it."""
    pub = t.connected('pub')
    pub.publish('$SYS/forbidden', b'x', 1)
    pub.publish('$SYS/forbidden', b'x', 2)


# ---- flow control


@statement('3.3.4-7 3.3.4')
def more_in_flight_than_the_brokers_window(t):
    """0x93; as many as it says are fine, whatever their QoS."""
    for last_qos in (1, 2):
        c = t.connected('c')
        for packet_id in range(1, WINDOW + 1):
            c.send(wire.publish(V5, t.topic('x'), b'', 2, packet_id))
            c.expect('PUBREC', packet_id=packet_id)
        c.send(wire.publish(V5, t.topic('x'), b'', 2, 1, dup=True))     # not a new one
        c.expect('PUBREC', packet_id=1)
        c.send(wire.publish(V5, t.topic('x'), b'', last_qos, WINDOW + 1))
        ended(c, 0x93)


@statement('4.9.0-1 3.3.4-7')
def a_new_connection_has_a_new_window(t):
    """What is open from before takes nothing from it, whenever its PUBRELs come."""
    for first in (1, WINDOW + 1):
        c = t.client('c')
        c.connect(**kept(t))
        for packet_id in range(first, first + WINDOW):
            c.send(wire.publish(V5, t.topic('x'), b'', 2, packet_id))
            c.expect('PUBREC', packet_id=packet_id)
        c.close()
    c = t.client('c')
    c.connect(present=True, **kept(t))
    for packet_id in range(1, 2 * WINDOW + 1):
        c.send(wire.ack(V5, 'PUBREL', packet_id))
        c.expect('PUBCOMP', packet_id=packet_id, code=0)


@statement('3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3 3.3.4-8')
def no_more_in_flight_than_the_client_takes(t):
    """Its Receive Maximum counts QoS 1 and 2 together, until PUBACK, PUBCOMP or a PUBREC of 0x80; everything else goes on."""
    pub, sub = pair(t, properties=[('receive_maximum', 2)])
    sub.subscribe((t.topic('zero'), 0))
    for qos in (1, 2, 1, 2, 1):
        pub.publish(t.topic('x'), b'%d' % qos, qos)
    first, second = sub.expect('PUBLISH', payload=b'1'), sub.expect('PUBLISH', payload=b'2')
    pub.publish(t.topic('zero'), b'not held back')
    sub.expect('PUBLISH', payload=b'not held back')
    sub.fence()
    sub.subscribe((t.topic('other'), 0))
    sub.send(wire.ack(V5, 'PUBREC', second.packet_id))
    sub.expect('PUBREL', packet_id=second.packet_id)
    sub.fence()
    sub.send(wire.ack(V5, 'PUBACK', first.packet_id))
    third = sub.expect('PUBLISH', payload=b'1')
    sub.fence()
    sub.send(wire.ack(V5, 'PUBCOMP', second.packet_id))
    fourth = sub.expect('PUBLISH', payload=b'2')
    sub.fence()
    sub.send(wire.ack(V5, 'PUBREC', fourth.packet_id, 0x80))
    fifth = sub.expect('PUBLISH', payload=b'1')
    for got in (third, fifth):
        sub.send(wire.ack(V5, 'PUBACK', got.packet_id))
    sub.fence()


# ---- acknowledgements


@statement('2.2.1-5 4.3.2-4 3.3.4-1 4.3.3-8 4.3.3-11 3.4.2-1 3.5.2-1 3.7.2-1', '2.3.1-6 3.3.4-1 4.3.2-2 4.3.3-2')
def every_publish_is_answered_as_its_qos_asks(t):
    """With its identifier; in 5.0 with a code that belongs to the packet (0x10: nobody has subscribed)."""
    pub = t.connected('pub')
    for packet_id in (1, 2, 255, 256, 65535):
        pub.send(wire.publish(t.version, t.topic('x'), b'', 1, packet_id))
        assert pub.expect('PUBACK', packet_id=packet_id).code in (0, 0x10, None)
        pub.send(wire.publish(t.version, t.topic('x'), b'', 2, packet_id))
        assert pub.expect('PUBREC', packet_id=packet_id).code in (0, 0x10, None)
        pub.send(wire.ack(t.version, 'PUBREL', packet_id))
        assert pub.expect('PUBCOMP', packet_id=packet_id).code in (0, None)
    pub.publish(t.topic('x'), b'', 0)


@statement('3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 3.6.2-2 3.6.2-3')
def answers_fit_the_client(t):
    """Of a client that takes 20 bytes at most, whatever they would like to say."""
    c = t.connected('c', properties=[('maximum_packet_size', 20)])
    c.send(wire.publish(V5, '$SYS/no', b'', 1, 1))
    c.expect('PUBACK', code=0x87)
    c.send(wire.publish(V5, '$SYS/no', b'', 2, 2))
    c.expect('PUBREC', code=0x87)
    c.send(wire.ack(V5, 'PUBREL', 77))
    c.expect('PUBCOMP', code=0x92)
    c.send(wire.ack(V5, 'PUBREC', 78))
    c.expect('PUBREL', code=0x92)
    c.send(wire.subscribe(V5, 3, [('/'.join('x' * 200), 0)]))
    c.expect('SUBACK', codes=[0x8F])
    c.send(wire.unsubscribe(V5, 4, ['none']))
    c.expect('UNSUBACK', codes=[0x11])


@statement('4.3.3 2.2.1-5 3.6.2-1 3.7.2-1')
def identifiers_that_nobody_knows(t):
    """PUBREL: PUBCOMP 0x92; PUBREC: PUBREL 0x92; the connection goes on, also behind PUBACK and PUBCOMP for nothing."""
    c = t.connected('c')
    c.send(wire.ack(V5, 'PUBREL', 9))
    c.expect('PUBCOMP', packet_id=9, code=0x92)
    c.send(wire.ack(V5, 'PUBREC', 9))
    c.expect('PUBREL', packet_id=9, code=0x92)
    c.send(wire.ack(V5, 'PUBACK', 9), wire.ack(V5, 'PUBCOMP', 9))
    c.fence()


@statement('2.2.1')
def identifiers_in_use(t):
    """That of a QoS 2 exchange under way is not free: 0x91 for whatever else takes it; then it is."""
    c = t.connected('c')
    c.send(wire.publish(V5, t.topic('x'), b'', 2, 5))
    c.expect('PUBREC', packet_id=5)
    c.send(wire.subscribe(V5, 5, [(t.topic('a'), 0), (t.topic('b'), 0)]))
    c.expect('SUBACK', packet_id=5, codes=[0x91, 0x91])
    c.send(wire.unsubscribe(V5, 5, [t.topic('a')]))
    c.expect('UNSUBACK', packet_id=5, codes=[0x91])
    c.send(wire.publish(V5, t.topic('x'), b'', 1, 5))
    c.expect('PUBACK', packet_id=5, code=0x91)
    c.send(wire.ack(V5, 'PUBREL', 5))
    c.expect('PUBCOMP', packet_id=5, code=0)
    c.send(wire.subscribe(V5, 5, [(t.topic('a'), 0)]))
    c.expect('SUBACK', packet_id=5, codes=[0])


@statement('2.2.1-4 4.3.2-1 4.3.3-1', '2.3.1-4')
def the_brokers_identifiers_are_not_in_use(t):
    """While messages wait for their acknowledgements each has another one, and none has zero."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('x'), 2))
    for i in range(60):
        pub.publish(t.topic('x'), b'%d' % i, 1 + i % 2)
    open_ids = set()
    for i in range(60):
        got = sub.expect('PUBLISH', payload=b'%d' % i)
        assert got.packet_id not in open_ids | {0}, got
        open_ids.add(got.packet_id)
        if i % 3 == 0 and got.qos == 1:
            sub.send(wire.ack(t.version, 'PUBACK', got.packet_id))
            open_ids.discard(got.packet_id)


@statement('4.3.2-5', '4.3.2-2')
def an_acknowledged_identifier_is_free(t):
    """QoS 1: the same one again is a new message, with DUP too."""
    pub, sub = pair(t)
    for dup in (False, True, True):
        pub.send(wire.publish(t.version, t.topic('x'), b'one', 1, 7, dup=dup))
        pub.expect('PUBACK', packet_id=7)
        sub.receive(t.topic('x'), b'one')


@statement('4.3.3-9')
def a_refused_identifier_is_free(t):
    """QoS 2: after PUBREC of 0x80 and above it is that of a new message."""
    pub, sub = pair(t)
    pub.send(wire.publish(V5, '$SYS/no', b'', 2, 7))
    pub.expect('PUBREC', packet_id=7, code=0x87)
    pub.send(wire.publish(V5, t.topic('x'), b'new', 2, 7))
    pub.expect('PUBREC', packet_id=7, code=0)
    sub.receive(t.topic('x'), b'new')


@statement('4.3.3-10 4.3.3-12 4.3.3-11', '4.3.3-2')
def qos_2_is_delivered_once(t):
    """Until PUBREL, what comes again is answered and not delivered, over a new connection too; after PUBCOMP it is new."""
    _, sub = pair(t)
    pub = t.connected('twice', **kept(t))
    for payload in (b'first', b'again'):
        pub.send(wire.publish(t.version, t.topic('x'), b'first', 2, 7, dup=payload != b'first'))
        pub.expect('PUBREC', packet_id=7)
    pub.close()
    pub = t.client('twice')
    pub.connect(present=present(t, True), **kept(t))
    pub.send(wire.publish(t.version, t.topic('x'), b'first', 2, 7, dup=True))
    pub.expect('PUBREC', packet_id=7)
    for _ in range(2):
        pub.send(wire.ack(t.version, 'PUBREL', 7))
        pub.expect('PUBCOMP', packet_id=7)
    sub.receive(t.topic('x'), b'first')
    pub.send(wire.publish(t.version, t.topic('x'), b'second', 2, 7))
    pub.expect('PUBREC', packet_id=7)
    sub.receive(t.topic('x'), b'second')


@statement('4.3.2-3', '4.3.2-1')
def qos_1_is_open_until_puback(t):
    """However often the client comes back without it; with it, never again."""
    pub, sub = pair(t, qos=1, **kept(t))
    pub.publish(t.topic('x'), b'one', 1)
    first = sub.expect('PUBLISH', dup=0)
    for _ in range(2):
        sub.close()
        sub = t.client('sub')
        sub.connect(present=present(t, True), **kept(t))
        sub.expect('PUBLISH', packet_id=first.packet_id, payload=b'one', dup=1)
    sub.send(wire.ack(t.version, 'PUBACK', first.packet_id))
    sub.fence()
    sub.close()
    sub = t.client('sub')
    sub.connect(present=present(t, True), **kept(t))
    sub.fence()


@statement('4.6.0-5 4.6.0-6', '4.6.0-5..6')
def messages_keep_their_order(t):
    """Those of one publisher, one topic and one QoS; also from a queue, and behind those that are sent again."""
    pub, sub = pair(t, **kept(t))
    for i in range(30):
        pub.publish(t.topic('x'), b'%d' % i, 1)
    first = [int(sub.expect('PUBLISH').payload) for _ in range(30)]
    sub.close()
    for i in range(30, 40):
        pub.publish(t.topic('x'), b'%d' % i, 1)
    sub = t.client('sub')
    sub.connect(present=present(t, True), **kept(t))
    got = sub.receive_many(count=40)
    assert first == list(range(len(first))) and [int(m.payload) for m in got] == list(range(40)), (first, got)


@statement('4.6.0-2 4.6.0-3 4.6.0-4', '4.6.0-2..4')
def acknowledgements_keep_their_order(t):
    """PUBACKs that of the PUBLISHes, PUBRECs too, PUBCOMPs that of the PUBRELs."""
    c = t.connected('c')
    c.send(*(wire.publish(t.version, t.topic('x'), b'', 1, i) for i in range(1, 16)))
    for i in range(1, 16):
        c.expect('PUBACK', packet_id=i)
    c.send(*(wire.publish(t.version, t.topic('x'), b'', 2, i) for i in range(1, 16)))
    for i in range(1, 16):
        c.expect('PUBREC', packet_id=i)
    c.send(*(wire.ack(t.version, 'PUBREL', i) for i in range(1, 16)))
    for i in range(1, 16):
        c.expect('PUBCOMP', packet_id=i)


@statement('3.3.2.3.2')
def a_payload_that_is_not_what_it_says(t):
    """A payload said to be UTF-8 is forwarded as it is: the broker does not look, as it may."""
    pub, sub = pair(t)
    pub.publish(t.topic('x'), b'\xff\xfe', 1, properties=[('payload_format', 1)])
    got = sub.receive(t.topic('x'), b'\xff\xfe')
    assert got.prop('payload_format') == 1, got
