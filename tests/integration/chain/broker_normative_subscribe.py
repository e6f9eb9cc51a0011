"""MQTT 5.0 chapters 3.8 to 3.11, 4.7, 4.8 and their like in 3.1.1, at mqtt-broker: subscriptions and what they match."""

from lib import wire
from lib.statements import LIMITS, kept, nothing_came, present, statement
from lib.wire import V5

NO_LOCAL = 4


@statement('3.8.3-3')
def no_local(t):
    """Not to the client that published it, not even from before it came back; to everybody else."""
    c, other = t.connected('c', **kept(t)), t.connected('other')
    c.subscribe((t.topic('x'), 1 | NO_LOCAL))
    other.subscribe((t.topic('x'), 1))
    c.publish(t.topic('x'), b'mine', 1)
    other.receive(t.topic('x'), b'mine')
    nothing_came(c, c)
    other.publish_to_itself(t.topic('x'), b'yours')
    c.receive(t.topic('x'), b'yours')


@statement('3.8.4-1 3.8.4-2 2.2.1-6 3.10.4-4 3.10.4-5', '3.8.4-1..2 3.10.4-4 2.3.1-7')
def requests_are_answered_by_their_identifier(t):
    """Each SUBSCRIBE by one SUBACK, each UNSUBSCRIBE by one UNSUBACK."""
    c = t.connected('c')
    numbers = (1, 65535, 256, 7)
    c.send(*(wire.subscribe(t.version, i, [(t.topic(str(i)), 0)]) for i in numbers))
    for i in numbers:
        c.expect('SUBACK', packet_id=i)
    c.send(*(wire.unsubscribe(t.version, i, [t.topic(str(i))]) for i in numbers))
    for i in numbers:
        c.expect('UNSUBACK', packet_id=i)
    c.fence()


@statement('3.8.4-3', '3.8.4-3')
def the_same_filter_again_replaces_the_subscription(t):
    """One copy of each message, as the last one asks."""
    sub, pub = t.connected('sub'), t.connected('pub')
    for at, qos in enumerate((2, 0, 1), 1):
        sub.subscribe((t.topic('x'), qos), properties=[('subscription_id', at)] if t.version == V5 else ())
    pub.publish(t.topic('x'), b'one', 2)
    got = sub.receive(t.topic('x'), b'one', qos=1)
    assert t.version != V5 or got.prop('subscription_id') == [3], got
    nothing_came(pub, sub)


@statement('3.8.4-4', '3.8.4-3')
def replacing_sends_what_is_retained_again(t):
    """And what is on its way arrives."""
    sub, pub = t.connected('sub'), t.connected('pub')
    pub.publish(t.topic('x'), b'kept', 1, retain=True)
    for _ in range(2):
        sub.subscribe((t.topic('x'), 1))
        sub.receive(t.topic('x'), b'kept', retain=1)
    pub.publish(t.topic('x'), b'', 1, retain=True)
    sub.receive(t.topic('x'), b'')
    for i in range(20):
        pub.publish(t.topic('x'), b'%d' % i, 1)
        sub.send(wire.subscribe(t.version, 100 + i, [(t.topic('x'), 1)]))
    payloads, answers = [], 0
    while len(payloads) < 20 or answers < 20:
        got = sub.next()
        if got.kind == 'SUBACK':
            answers += 1
        else:
            payloads.append(int(got.payload))
            sub.acknowledge(got)
    assert payloads == list(range(20)), payloads


@statement('3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2', '3.8.4-4..5 3.9.3-1..2')
def several_filters_in_one_packet(t):
    """As if each had come alone: one SUBACK, a code for each in their order."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('2'), 2), (t.topic('0'), 0), (t.topic('1'), 1), (t.topic('0'), 1), codes=[2, 0, 1, 1])
    for rest, qos in (('0', 1), ('1', 1), ('2', 2)):
        pub.publish(t.topic(rest), rest.encode(), 2)
        sub.receive(t.topic(rest), rest.encode(), qos=qos)
    nothing_came(pub, sub)


@statement('3.8.4-6 3.8.4-7 3.9.3-2', '3.8.4-5 3.9.3-2', broker='limits')
def refused_filters_among_others(t):
    """Each has its own code: those above a limit are refused, the others granted."""
    c = t.connected('c', keep_alive=LIMITS['keep_alive'])
    deep = '/'.join('x' * (LIMITS['levels'] + 1))
    refused = (0x8F, 0x97) if t.version == V5 else (0x80, 0x80)
    wanted = [('a', 1), (deep, 1), ('b', 0), ('c', 2), ('d', 0), ('a', 2)]
    c.subscribe(*wanted, codes=[1, refused[0], 0, 2, refused[1], 2])


@statement('3.8.4-8', '3.8.4-6')
def the_lower_qos_counts(t):
    """Of the message's and the subscription's: all nine cases."""
    pub = t.connected('pub')
    for granted in (0, 1, 2):
        sub = t.connected(f'sub{granted}')
        sub.subscribe((t.topic('x'), granted))
        for published in (0, 1, 2):
            pub.publish(t.topic('x'), b'%d' % published, published)
            sub.receive(t.topic('x'), b'%d' % published, qos=min(granted, published))
        sub.disconnect()


@statement('3.10.4-1 3.10.4-2', '3.10.4-1..2')
def unsubscribing_ends_that_filter_alone(t):
    """The filter with the same characters; none that only matches it."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('a/+'), 1), (t.topic('A/b'), 1))
    for other in ('a/b', 'a/#', '+/+', 'a/+/'):
        sub.unsubscribe(t.topic(other))
    pub.publish(t.topic('a/b'), b'there', 1)
    sub.receive(t.topic('a/b'), b'there')
    sub.unsubscribe(t.topic('a/+'))
    pub.publish(t.topic('a/b'), b'gone', 1)
    pub.publish(t.topic('A/b'), b'other', 1)
    sub.receive(t.topic('A/b'), b'other')


@statement('3.10.4-3', '3.10.4-3')
def unsubscribing_lets_deliveries_end(t):
    """Of QoS 1 and 2 that have begun: over a reconnect too."""
    sub, pub = t.connected('sub', **kept(t)), t.connected('pub')
    sub.subscribe((t.topic('x'), 2))
    for qos in (1, 2):
        pub.publish(t.topic('x'), b'%d' % qos, qos)
    one, two = sub.expect('PUBLISH', qos=1), sub.expect('PUBLISH', qos=2)
    sub.unsubscribe(t.topic('x'))
    sub.close()
    sub = t.client('sub')
    sub.connect(present=present(t, True), **kept(t))
    sub.receive(t.topic('x'), b'1', packet_id=one.packet_id)
    sub.receive(t.topic('x'), b'2', packet_id=two.packet_id)
    sub.fence()


@statement('3.10.4-4 3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2', '3.10.4-4..6')
def unsubscribing_several(t):
    """One UNSUBACK; in 5.0 with a code for each in their order: 0x00, or 0x11 where there was nothing."""
    c = t.connected('c')
    c.subscribe((t.topic('a'), 0), (t.topic('b'), 0), ('$share/g/' + t.topic('c'), 0))
    got = c.unsubscribe(t.topic('b'), t.topic('none'), '$share/g/' + t.topic('c'), t.topic('b'), t.topic('a'))
    assert t.version != V5 or list(got.codes) == [0, 0x11, 0, 0x11, 0], got


# ---- matching

MATCHES = (
    ('a/b', ('a/b',), ('a', 'a/b/', 'a/b/c', 'A/b', '/a/b')),
    ('a/#', ('a', 'a/', 'a/b', 'a/b/c'), ('b', 'ab', '/a')),
    ('#', ('', 'a', '/', 'a/b/c', '/a'), ()),
    ('+', ('a', ''), ('a/b', '/', 'a/')),
    ('a/+', ('a/b', 'a/'), ('a', 'a/b/c')),
    ('+/+', ('a/b', '/a', '/'), ('a', 'a/b/c')),
    ('/+', ('/a', '/'), ('a', 'a/b')),
    ('+/b/#', ('a/b', '/b', 'a/b/c/d'), ('b', 'a/c')),
    ('a/+/c', ('a/b/c', 'a//c'), ('a/c', 'a/b/d')),
    ('a/+/#', ('a/b', 'a/', 'a/b/c'), ('a',)),
    ('//', ('//',), ('/', '///')),
)


@statement('4.7.1-1 4.7.1-2 3.3.2-3', '4.7.1-2..3 3.8.3-2 3.3.2-3')
def what_filters_match(t):
    """A table of filters with topics that match, and topics that do not; below a level of the test's own."""
    pub = t.connected('pub')
    for at, (text, good, bad) in enumerate(MATCHES):
        base = t.topic(f'm{at}/')
        sub = t.connected('sub')
        sub.subscribe((base + text, 1))
        for topic in bad + good:
            pub.publish(base + topic, topic.encode(), 1)
        assert [m.payload.decode() for m in sub.receive_many(count=len(good))] == list(good), text
        nothing_came(pub, sub)
        sub.disconnect()


@statement('4.7.2-1', '4.7.2-1')
def topics_with_a_dollar(t):
    """No filter that begins with a wildcard matches them; one that names their first level does."""
    wild, named, pub = t.connected('wild'), t.connected('named'), t.connected('pub')
    first = '$' + t.topic().split('/', 1)[0]
    rest = t.topic().split('/', 1)[1]
    wild.subscribe(('+/' + rest, 1), ('+/+', 1))
    wild.subscribe(('#', 0))
    named.subscribe((first + '/#', 1))
    pub.publish(f'{first}/{rest}', b'dollar', 1)
    named.receive(f'{first}/{rest}', b'dollar')
    pub.publish(t.topic(), b'end', 1)
    while (got := wild.next()).payload != b'end':
        assert got.kind != 'PUBLISH' or not got.topic.startswith('$'), got
        wild.acknowledge(got)


# ---- shared subscriptions; more of them in broker_shares.py


def group(t, count, qos=1, **connect):
    """Members that have subscribed to $share/g/TOPIC."""
    members = [t.connected(f'm{i}', **connect) for i in range(count)]
    for member in members:
        member.subscribe(('$share/g/' + t.topic('x'), qos))
    return members


@statement('4.8.2-1 4.8.2-3')
def a_shared_subscription(t):
    """Each message goes to one member, by the QoS that was granted to that one; other subscriptions have their own copy."""
    pub, alone = t.connected('pub'), t.connected('alone')
    alone.subscribe((t.topic('x'), 2))
    members = [t.connected(f'm{qos}') for qos in (0, 1)]
    for qos, member in enumerate(members):
        member.subscribe(('$share/g/' + t.topic('x'), qos))
    for _ in range(2):
        pub.publish(t.topic('x'), b'one', 2)
        alone.receive(t.topic('x'), b'one', qos=2)
    for qos, member in enumerate(members):
        member.receive(t.topic('x'), b'one', qos=qos)
    nothing_came(pub, *members)


@statement('4.8.2-4')
def qos_2_stays_with_its_member(t):
    """Begun with one that goes away, it is finished with that one when it comes back, though another is there."""
    member, = group(t, 1, 2, **kept(t))
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'two', 2)
    got = member.expect('PUBLISH', qos=2)
    other = t.connected('other')
    other.subscribe(('$share/g/' + t.topic('x'), 2))
    member.close()
    back = t.client('m0')
    back.connect(present=True, **kept(t))
    back.receive(t.topic('x'), b'two', packet_id=got.packet_id, dup=1)
    nothing_came(pub, other)


@statement('4.8.2-5')
def qos_2_ends_with_its_members_session(t):
    """Nobody else gets it."""
    member, = group(t, 1, 2, **kept(t))
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'two', 2)
    member.expect('PUBLISH', qos=2)
    other = t.connected('other')
    other.subscribe(('$share/g/' + t.topic('x'), 2))
    member.disconnect(0, [('session_expiry', 0)])
    nothing_came(pub, other)


@statement('4.8.2-6')
def a_refused_message_goes_to_nobody_else(t):
    """PUBACK and PUBREC of 0x80 and above discard it."""
    pub = t.connected('pub')
    for qos, kind in ((1, 'PUBACK'), (2, 'PUBREC')):
        members = group(t, 2, qos)
        pub.publish(t.topic('x'), b'bad', qos)
        pub.publish(t.topic('x'), b'good', qos)
        for member in members:
            got = member.expect('PUBLISH')
            if got.payload == b'bad':
                member.send(wire.ack(V5, kind, got.packet_id, 0x83))
                member.disconnect()
            else:
                member.acknowledge(got)
                good = member
        nothing_came(pub, good)
        good.disconnect()


@statement('4.8.2-2')
def the_name_of_a_share(t):
    """Two names of one filter are two subscriptions, each of which gets a copy; unsubscribing takes name and filter."""
    pub, c = t.connected('pub'), t.connected('c')
    for name in ('one', 'two', 'ä$ '):
        c.subscribe((f'$share/{name}/{t.topic("x")}', 1))
    pub.publish(t.topic('x'), b'three', 1)
    c.receive_many(count=3)
    assert c.unsubscribe('$share/one/' + t.topic('x')).codes[0] == 0
    pub.publish(t.topic('x'), b'two', 1)
    c.receive_many(count=2)
    nothing_came(pub, c)
