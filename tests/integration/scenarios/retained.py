"""Retained messages: kept, replaced, deleted, asked for or not."""

from lib import wire
from lib.case import scenario
from lib.wire import V5


@scenario()
def a_retained_message_greets_later_subscribers(t):
    """It comes with the retain flag to who subscribes later, without it to who was there; the last one wins."""
    early, pub = t.connected('early'), t.connected('pub')
    topic = t.topic('state')
    early.subscribe((topic, 1))
    for qos, payload in ((0, 'old'), (1, 'older'), (2, 'now')):
        pub.publish(topic, payload, qos, retain=True)
        early.receive(topic, payload, retain=0)
    late = t.connected('late')
    late.subscribe((topic, 2))
    late.receive(topic, 'now', retain=1, qos=2)
    late.fence()
    pub.publish(topic, b'', 1, retain=True)


@scenario()
def an_empty_retained_message_deletes(t):
    """The empty message itself reaches who listens; who comes later finds nothing."""
    sub, pub = t.connected('sub'), t.connected('pub')
    topic = t.topic('state')
    pub.publish(topic, b'value', 1, retain=True)
    sub.subscribe((topic, 1))
    sub.receive(topic, 'value', retain=1)
    pub.publish(topic, b'', 1, retain=True)
    sub.receive(topic, b'', retain=0)
    late = t.connected('late')
    late.subscribe((topic, 1))
    late.fence()


@scenario()
def retained_messages_of_a_wildcard(t):
    """All of them, each once, whatever their order."""
    pub = t.connected('pub')
    for i in range(20):
        pub.publish(t.topic(f'{i}'), b'%d' % i, i % 3, retain=True)
    sub = t.connected('sub')
    sub.subscribe((t.topic('+'), 2))
    sub.is_quiet = True         # each broker has an order of its own
    got = sorted((message.topic, message.payload, message.qos, message.retain) for message in sub.receive_many(20))
    assert got == sorted((t.topic(f'{i}'), b'%d' % i, i % 3, 1) for i in range(20)), got
    sub.is_quiet = False
    sub.fence()
    for i in range(20):
        pub.publish(t.topic(f'{i}'), b'', 1, retain=True)


@scenario(V5)
def retained_messages_keep_their_properties(t):
    """User properties in order, content type, response topic, correlation data and format come with the greeting."""
    pub, sub = t.connected('pub'), t.connected('sub')
    given = [('payload_format', 1), ('content_type', 'text/plain'), ('response_topic', t.topic('answer')),
             ('correlation_data', bytes(range(256))), ('user_property', ('z', '1')), ('user_property', ('a', '2')),
             ('user_property', ('z', '1'))]
    pub.publish(t.topic('p'), 'grüße'.encode(), 1, retain=True, properties=given)
    sub.subscribe((t.topic('p'), 1))
    got = sub.receive(t.topic('p'), 'grüße'.encode(), retain=1)
    assert sorted(map(repr, got.properties)) == sorted(map(repr, given)), got
    assert got.prop('user_property') == [('z', '1'), ('a', '2'), ('z', '1')]
    pub.publish(t.topic('p'), b'', 1, retain=True)


@scenario(V5)
def retain_handling_says_when_to_greet(t):
    """0 always, 1 only a new subscription, 2 never."""
    pub, sub = t.connected('pub'), t.connected('sub')
    topic = t.topic('state')
    pub.publish(topic, b'v', 1, retain=True)
    sub.subscribe((topic, 1 | 2 << 4))
    sub.fence()
    sub.subscribe((topic, 1 | 1 << 4))
    sub.fence()
    sub.subscribe((topic, 1))
    sub.receive(topic, 'v', retain=1)
    sub.unsubscribe(topic)
    sub.subscribe((topic, 1 | 1 << 4))
    sub.receive(topic, 'v', retain=1)
    sub.fence()
    pub.publish(topic, b'', 1, retain=True)


@scenario(V5)
def retain_as_published_keeps_the_flag(t):
    """With the option the flag comes as it was sent, without it cleared."""
    pub, keeps, clears = t.connected('pub'), t.connected('keeps'), t.connected('clears')
    topic = t.topic('state')
    keeps.subscribe((topic, 1 | 8))
    clears.subscribe((topic, 1))
    for retain in (True, False):
        pub.publish(topic, b'v', 1, retain=retain)
        keeps.receive(topic, 'v', retain=int(retain))
        clears.receive(topic, 'v', retain=0)
    pub.publish(topic, b'', 1, retain=True)


@scenario(V5)
def no_local_keeps_own_messages_away(t):
    """M51: the publisher does not get back what it sent, others do."""
    c, other = t.connected('c'), t.connected('other')
    topic = t.topic('echo')
    c.subscribe((topic, 2 | 4))
    other.subscribe((topic, 2 | 4))
    for qos in (0, 1, 2):
        c.publish(topic, b'mine', qos)
        other.receive(topic, 'mine')
    other.publish(topic, b'theirs', 1)

    c.receive(topic, 'theirs')
    c.fence()


@scenario(V5, broker='strict')
def a_broker_without_retain_says_so(t):
    """CONNACK announces it; a retained PUBLISH ends with 0x9A."""
    c = t.connected('c')
    c.send(wire.publish(V5, t.topic('r'), b'v', 1, 1, retain=True))
    assert c.expect_end([0x9A]) is not None, 'closed without a word'
