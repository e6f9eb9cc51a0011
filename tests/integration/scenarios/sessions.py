"""Sessions that outlive a connection: what waits, what is repeated, what is forgotten."""

from lib import wire
from lib.case import scenario
from lib.wire import V31, V311, V5

LASTING = [('session_expiry', 300)]


def lasting(version):
    """The options of a CONNECT whose session stays."""
    return {'clean': False, **({'properties': LASTING} if version == V5 else {})}


@scenario()
def messages_wait_for_an_absent_client(t):
    """QoS 1 and 2 published meanwhile are delivered in order on return, QoS 0 is not; the flag says session present."""
    pub = t.connected('pub')
    c = t.client('c')
    c.connect(present=False, **lasting(t.version))
    c.subscribe((t.topic('#'), 2))
    c.disconnect()
    for i in range(10):
        pub.publish(t.topic(f'{i}'), b'%d' % i, i % 3)
    c = t.client('c')
    c.connect(present=t.version != V31, **lasting(t.version))       # 3.1 has no such flag
    got = [int(message.payload) for message in c.receive_many(last=b'8')]
    assert got == [1, 2, 4, 5, 7, 8], got
    c.fence()
    c.disconnect()


@scenario()
def an_unacknowledged_qos_1_message_comes_again(t):
    """Lost before its PUBACK: repeated with DUP and the same packet id."""
    pub = t.connected('pub')
    c = t.connected('c', **lasting(t.version))
    c.subscribe((t.topic('a'), 1))
    pub.publish(t.topic('a'), b'again', 1)
    first = c.expect('PUBLISH', dup=0)
    c.fence()
    c.close()
    c = t.connected('c', **lasting(t.version))
    c.receive(t.topic('a'), 'again', dup=1, packet_id=first.packet_id)
    c.fence()


@scenario()
def an_unfinished_qos_2_delivery_goes_on_where_it_was(t):
    """Lost before PUBREC: PUBLISH again with DUP. Lost after PUBREC: PUBREL, never PUBLISH."""
    pub = t.connected('pub')
    c = t.connected('c', **lasting(t.version))
    c.subscribe((t.topic('a'), 2))
    pub.publish(t.topic('a'), b'once', 2)
    got = c.expect('PUBLISH', dup=0, qos=2)
    c.fence()
    c.close()
    c = t.connected('c', **lasting(t.version))
    c.expect('PUBLISH', dup=1, qos=2, packet_id=got.packet_id)
    c.send(wire.ack(t.version, 'PUBREC', got.packet_id))
    c.expect('PUBREL', packet_id=got.packet_id)
    c.fence()
    c.close()
    c = t.connected('c', **lasting(t.version))
    c.expect('PUBREL', packet_id=got.packet_id)
    c.send(wire.ack(t.version, 'PUBCOMP', got.packet_id))
    c.fence()


@scenario()
def an_unfinished_qos_2_publish_is_one_message_over_a_reconnect(t):
    """M48 over a reconnect: the same id with DUP after PUBREC is the same message."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('a'), 2))
    c = t.connected('c', **lasting(t.version))
    c.send(wire.publish(t.version, t.topic('a'), b'once', 2, 5))
    c.expect('PUBREC', packet_id=5)
    c.fence()
    c.close()
    c = t.connected('c', **lasting(t.version))
    c.send(wire.publish(t.version, t.topic('a'), b'once', 2, 5, dup=True))
    c.expect('PUBREC', packet_id=5)
    c.send(wire.ack(t.version, 'PUBREL', 5))
    c.expect('PUBCOMP', packet_id=5)
    sub.receive(t.topic('a'), 'once')
    sub.fence()


@scenario()
def a_clean_start_forgets(t):
    """Clean session or Clean Start: no subscription, no waiting message, no session present."""
    pub = t.connected('pub')
    c = t.connected('c', **lasting(t.version))
    c.subscribe((t.topic('#'), 1))
    c.disconnect()
    pub.publish(t.topic('a'), b'forgotten', 1)
    c = t.connected('c', clean=True, present=False)
    c.fence()
    pub.publish(t.topic('a'), b'not subscribed', 1)
    c.fence()
    c.disconnect()
    c = t.client('c')
    c.connect(present=False, **lasting(t.version))


@scenario()
def subscriptions_of_a_session_stay(t):
    """Back without subscribing: messages arrive; what was unsubscribed stays so."""
    pub = t.connected('pub')
    c = t.connected('c', **lasting(t.version))
    c.subscribe((t.topic('keep'), 1), (t.topic('drop'), 1))
    c.unsubscribe(t.topic('drop'))
    c.disconnect()
    c = t.connected('c', **lasting(t.version))
    pub.publish(t.topic('drop'), b'no', 1)
    pub.publish(t.topic('keep'), b'yes', 1)
    c.receive(t.topic('keep'), 'yes')
    c.fence()


@scenario(V311)
def a_session_of_3_1_1_can_be_taken_up_by_5_and_back(t):
    """The client id decides, not the version."""
    c = t.connected('c', clean=False)
    c.subscribe((t.topic('a'), 1))
    c.disconnect()
    c = t.client('c', version=V5)
    c.connect(present=True, clean=False, properties=LASTING)
    c.publish(t.topic('b'), b'', 1)
    c.disconnect()
    c = t.client('c')
    c.connect(present=True, clean=False)
    c.fence()


@scenario(V5)
def session_expiry_rules_the_end(t):
    """Expiry 0 ends with the connection; DISCONNECT may shorten it, or set it later than CONNECT said."""
    c = t.connected('c', clean=False, present=False)
    c.disconnect()
    c = t.connected('c', clean=False, present=False, properties=LASTING)
    c.disconnect()
    c = t.connected('c', clean=False, present=True, properties=LASTING)
    c.disconnect(0, [('session_expiry', 0)])
    c = t.connected('c', clean=False, present=False, properties=[('session_expiry', 10)])
    c.disconnect(0, [('session_expiry', 1000), ('user_property', ('why', 'not'))])
    c = t.connected('c', clean=False, present=True, properties=[('session_expiry', 0xFFFFFFFF)])
    c.disconnect()
    c = t.connected('c', clean=False, present=True)
    c.disconnect()


@scenario(V5)
def a_client_limits_what_it_gets_at_once(t):
    """Receive Maximum 2: two messages come, the next with the acknowledgements; nothing is lost."""
    pub = t.connected('pub')
    c = t.connected('c', properties=[('receive_maximum', 2)])
    c.subscribe((t.topic('a'), 1))
    for i in range(6):
        pub.publish(t.topic('a'), b'%d' % i, 1)
    first, second = c.expect('PUBLISH', payload=b'0'), c.expect('PUBLISH', payload=b'1')
    c.fence()
    c.acknowledge(first)
    c.acknowledge(second)
    # mosquitto 2.0 counts one acknowledgement twice here and there, so how many come at once is its business
    got = [message.payload for message in c.receive_many(4)]
    assert got == [b'2', b'3', b'4', b'5'], got
    c.fence()


@scenario(V5)
def a_message_above_the_clients_maximum_is_kept_from_it(t):
    """R20: not sent to that client, sent to others, and the connection lives."""
    pub, other = t.connected('pub'), t.connected('other')
    small = t.connected('small', properties=[('maximum_packet_size', 500)])
    small.subscribe((t.topic('a'), 1))
    other.subscribe((t.topic('a'), 1))
    for size in (100, 1000, 100):
        pub.publish(t.topic('a'), b'x' * size, 1)
        other.receive(t.topic('a'), b'x' * size)
    small.receive(t.topic('a'), b'x' * 100)
    small.receive(t.topic('a'), b'x' * 100)
    small.fence()
