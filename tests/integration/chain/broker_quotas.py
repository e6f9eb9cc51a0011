"""mqtt-broker: what one user may have, over all its clients and all workers."""

import os
import time

from lib import wire
from lib.case import chain_test
from lib.wire import V5, V31, V311, Will

QUOTA = 0x97


def start(t, *options):
    """A broker of three workers, so that the clients of a user are with several of them."""
    broker = t.broker('--workers', '3', *options)
    t.address = broker.address
    return broker


def user(t, client, name='alice', **options):
    """A connected client of that user."""
    c = t.client(client)
    c.connect(username=name, **options)
    return c


def retain(c, topic, payload=b'kept', code=0):
    """With QoS 1; CODE is PUBACK's, which one of 3.x does not get if it is refused."""
    packet_id = c.new_id()
    c.send(wire.publish(c.version, topic, payload, 1, packet_id, retain=True))
    if c.version == V5 or code == 0:
        got = c.expect('PUBACK', packet_id=packet_id)
        assert c.version != V5 or (got.code if got.code >= 0x80 else 0) == code, got
    else:
        c.fence()


def assert_retained(t, broker, *payloads):
    """These and no others, as a new subscriber gets them."""
    sub = user(t, f'reader-{broker.mark()}', 'reader')
    sub.subscribe((t.topic('#'), 0))
    assert sorted(got.payload for got in sub.receive_many(len(payloads))) == sorted(payloads)
    sub.fence()
    sub.close()
    broker.assert_metrics(broker_retained=len(payloads))


@chain_test(V31, V311, V5)
def a_user_has_so_many_connections(t):
    """One more is refused, of another user not; a client that takes over its own connection is none more; one that has gone
    makes room."""
    broker = start(t, '--max-user-connections', '3')
    clients = [user(t, f'c{i}') for i in range(3)]
    code = QUOTA if t.version == V5 else 3
    t.client('fourth').connect(code=code, username='alice')
    user(t, 'other', 'bob')
    again = user(t, 'c1')
    clients[1].expect_closed() if t.version != V5 else clients[1].expect('DISCONNECT', code=0x8E)
    t.client('fourth').connect(code=code, username='alice')
    again.disconnect()
    user(t, 'fourth')
    broker.assert_metrics(broker_connects_refused_total=2, broker_clients_connected=4)


@chain_test(V5)
def those_without_a_name_are_one_user(t):
    """And an empty name is another one."""
    start(t, '--max-user-connections', '2')
    t.connected('one')
    t.connected('two')
    t.client('three').connect(code=QUOTA)
    user(t, 'named')
    user(t, 'empty', '')


@chain_test(V311, V5)
def a_user_has_so_many_subscriptions(t):
    """Over all its sessions, those without a client too; what is unsubscribed, replaced or ended makes room."""
    start(t, '--max-user-subscriptions', '4')
    refused = QUOTA if t.version == V5 else 0x80
    expiry = [('session_expiry', 1000)] if t.version == V5 else []
    absent = user(t, 'absent', clean=False, properties=expiry)
    absent.subscribe(('a', 1), ('$share/g/b', 1))
    absent.disconnect()
    c = user(t, 'c')
    c.subscribe(('c', 0), ('d', 0), ('e', 0), codes=[0, 0, refused])
    c.subscribe(('$share/g/e', 0), codes=[refused])
    c.subscribe(('d', 1))                               # in place of the one that it has
    user(t, 'other', 'bob').subscribe(('e', 0))
    c.unsubscribe('c')
    c.subscribe(('$share/g/e', 0))
    c.subscribe(('e', 0), codes=[refused])
    user(t, 'absent').disconnect()                      # Clean Start: its session ends
    c.subscribe(('e', 0), ('f', 0), ('g', 0), codes=[0, 0, refused])


@chain_test(V5)
def a_session_counts_for_who_came_last(t):
    """Another user who takes the session over has its subscriptions, which cannot be refused any more."""
    start(t, '--max-user-subscriptions', '2')
    keep = {'clean': False, 'properties': [('session_expiry', 1000)]}
    c = user(t, 'c', 'alice', **keep)
    c.subscribe(('a', 0), ('b', 0))
    bob = user(t, 'bob', 'bob')
    bob.subscribe(('a', 0))
    again = user(t, 'c', 'bob', **keep)
    again.subscribe(('c', 0), codes=[QUOTA])
    bob.unsubscribe('a')
    bob.subscribe(('d', 0), codes=[QUOTA])
    user(t, 'alice', 'alice').subscribe(('x', 0), ('y', 0))


@chain_test(V311, V5)
def a_user_has_so_many_bytes_queued(t):
    """For all its absent sessions together; what was fetched makes room. Another user's are not touched."""
    broker = start(t, '--max-user-queued-bytes', '52k')          # ten messages
    keep = {'clean': False, 'properties': [('session_expiry', 1000)] if t.version == V5 else []}
    for name, who in (('a1', 'alice'), ('a2', 'alice'), ('b1', 'bob')):
        sub = user(t, name, who, **keep)
        sub.subscribe((t.topic(name), 1))
        sub.disconnect()
    pub = user(t, 'pub', 'carol')

    def fill(name, queued, dropped):
        """So many, and what becomes of them, which another worker decides."""
        before = broker.metric('broker_publishes_queued_total'), broker.metric('broker_dropped_full_total')
        for _ in range(queued + dropped):
            pub.publish(t.topic(name), bytes(5000), 1)
        broker.wait_metric('broker_publishes_queued_total', before[0] + queued)
        broker.wait_metric('broker_dropped_full_total', before[1] + dropped)

    def fetch(name, who, wanted):
        sub = user(t, name, who, **keep)
        got = sub.receive_many(wanted)
        sub.fence()
        assert len(got) == wanted
        sub.disconnect()

    fill('a1', 7, 0)
    fill('a2', 3, 4)
    fill('b1', 7, 0)
    fetch('b1', 'bob', 7)
    fetch('a1', 'alice', 7)
    fill('a2', 4, 0)
    fetch('a2', 'alice', 7)
    fill('a1', 10, 1)


@chain_test(V311, V5)
def a_user_has_so_many_retained_messages(t):
    """One more: 0x97, in 3.x no acknowledgement; nobody gets it. Replacing one of its own is none more, deleting makes room;
    whoever publishes a topic last has it."""
    broker = start(t, '--max-user-retained', '3', '--sys-interval', '0')
    c = user(t, 'c')
    for i in range(3):
        retain(c, t.topic(f'{i}'))
    second = user(t, 'second')
    retain(second, t.topic('3'), code=QUOTA)
    retain(second, t.topic('2'), b'replaced')
    bob = user(t, 'bob', 'bob')
    retain(bob, t.topic('3'), b'of bob')
    retain(c, t.topic('3'), b'stolen', code=QUOTA)
    assert_retained(t, broker, b'kept', b'kept', b'of bob', b'replaced')
    retain(c, t.topic('0'), b'')
    retain(c, t.topic('3'), b'taken over')
    retain(bob, t.topic('1'), b'of bob')
    retain(c, t.topic('4'), b'fits again')
    assert_retained(t, broker, b'fits again', b'of bob', b'replaced', b'taken over')


@chain_test(V5)
def deleted_and_set_at_once_counts_once(t):
    """A device that deletes and sets its topics as fast as it can has as many as it has, whichever worker keeps them."""
    broker = start(t, '--max-user-retained', '5', '--sys-interval', '0')
    c = user(t, 'c')
    for _ in range(50):
        for i in range(5):
            c.send(wire.publish(V5, t.topic(f'{i}'), b'', retain=True), wire.publish(V5, t.topic(f'{i}'), b'kept', retain=True))
    c.fence()
    retain(c, t.topic('5'), code=QUOTA)
    assert_retained(t, broker, *[b'kept'] * 5)
    for i in range(5):
        retain(c, t.topic(f'{i}'), b'')
    for i in range(5):
        retain(c, t.topic(f'new/{i}'))
    retain(c, t.topic('new/5'), code=QUOTA)


@chain_test(V5)
def there_are_so_many_retained_messages_in_all(t):
    """Of all users, Wills too; what expires makes room; what the store kept counts after a restart."""
    store = ('--store', 'lmdb:' + os.path.join(t.folder, 'store'))
    broker = start(t, '--max-retained', '3', '--sys-interval', '0', *store)
    retain(user(t, 'a', 'alice'), t.topic('a'))
    bob = user(t, 'b', 'bob')
    retain(bob, t.topic('b'))
    c = user(t, 'c', 'carol', will=Will(t.topic('will'), 'gone', retain=True))
    retain(c, t.topic('c'))
    retain(c, t.topic('d'), code=QUOTA)
    live = user(t, 'live', 'reader')
    live.subscribe((t.topic('will'), 0))
    c.reset()
    live.receive(t.topic('will'), b'gone', retain=0)            # published, but not retained
    assert_retained(t, broker, *[b'kept'] * 3)
    t.close_peers()
    broker.stop()
    broker = start(t, '--max-retained', '3', '--sys-interval', '0', *store)
    pub = user(t, 'pub')
    retain(pub, t.topic('d'), code=QUOTA)
    retain(pub, t.topic('a'), b'')
    pub.publish(t.topic('d'), b'short', 1, retain=True, properties=[('message_expiry', 1)])
    retain(pub, t.topic('e'), code=QUOTA)
    broker.wait_metric('broker_retained', 2)
    retain(pub, t.topic('e'))


@chain_test(V311, V5)
def a_user_has_so_many_messages_a_second(t):
    """However many clients send them, with whatever workers: 20 saved up and 20 a second are 1.5 seconds for 50. Others do not
    wait for them."""
    broker = start(t, '--max-user-message-rate', '20')
    clients = [user(t, f'c{i}') for i in range(5)]
    bob = user(t, 'bob', 'bob')
    begun = time.monotonic()
    for c in clients:
        c.send(*(wire.publish(c.version, t.topic('x')) for _ in range(10)), wire.pingreq())
    bob.publish(t.topic('x'))
    assert time.monotonic() - begun < 1, 'another user has waited'
    for c in clients:
        c.expect('PINGRESP')
    took = time.monotonic() - begun
    assert 1.2 < took < 10, took
    assert broker.metric('broker_clients_paced_total') > 0
    broker.assert_metrics(broker_publishes_received_total=51)


@chain_test(V5)
def a_user_has_so_many_bytes_a_second(t):
    start(t, '--max-user-byte-rate', '10k')
    clients = [user(t, f'c{i}') for i in range(2)]
    begun = time.monotonic()
    for c in clients:
        c.send(*(wire.publish(V5, t.topic('x'), bytes(2000)) for _ in range(5)), wire.pingreq())
    for c in clients:
        c.expect('PINGRESP')
    assert 0.5 < time.monotonic() - begun < 10
