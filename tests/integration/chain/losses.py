"""Something dies without a word: client, r-proxy, link, s-proxy, broker. Wills fire, clients are told, the rest goes on."""

from lib import wire
from lib.case import chain_test
from lib.wire import V31, V311, V5, Will

EVERY_VERSION = (V31, V311, V5)


def watcher(t, broker):
    """A client directly at the broker that sees all wills."""
    sub = t.connected('watcher', version=V5, address=broker.address)
    sub.subscribe((t.topic('#'), 1))
    return sub


def expect_told(t, c):
    """What a client hears when the way behind r-proxy is gone."""
    if t.version == V5:
        c.expect('DISCONNECT', code=0x8B)
    c.expect_closed()


@chain_test(*EVERY_VERSION, relay=True)
def a_killed_r_proxy_fires_the_wills_of_its_clients(t):
    """kill -9 of r-proxy: every will once; s-proxy lives and serves the next r-proxy."""
    broker, s_proxy, r_proxy = t.chain()
    sub = watcher(t, broker)
    clients = [t.connected(f'c{i}', will=Will(t.topic(f'{i}'), b'lost', 1)) for i in range(10)]
    clients[0].disconnect()
    r_proxy.kill()
    got = sorted(sub.receive().topic for _ in clients[1:])
    assert got == sorted(t.topic(f'{i}') for i in range(1, 10)), got
    sub.fence()
    t.r_proxy(s_proxy.target)
    t.connected('next').publish(t.topic('next'), b'works', 1)
    sub.receive(t.topic('next'), 'works')


@chain_test(*EVERY_VERSION, relay=True)
def a_killed_s_proxy_fires_the_wills_and_tells_the_clients(t):
    """kill -9 of s-proxy: clients hear 0x8B or are closed, wills fire; a new s-proxy at the same address serves them again."""
    broker, s_proxy, _ = t.chain()
    sub = watcher(t, broker)
    clients = [t.connected(f'c{i}', will=Will(t.topic(f'{i}'), b'lost', 1)) for i in range(10)]
    s_proxy.kill()
    for c in clients:
        expect_told(t, c)
    got = sorted(sub.receive().topic for _ in clients)
    assert got == sorted(t.topic(f'{i}') for i in range(10)), got
    t.s_proxy([broker.url], listen=s_proxy.target)
    t.served('again').publish(t.topic('again'), b'works', 1)
    sub.receive(t.topic('again'), 'works')


@chain_test(*EVERY_VERSION, relay=True)
def a_cut_link_fires_the_wills_and_tells_the_clients(t):
    """The connection between the proxies is reset: as if both had died, but both live, and the next client is served."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    link = t.relay(s_proxy.address)
    t.r_proxy(f'127.0.0.1:{link.port}')
    sub = watcher(t, broker)
    clients = [t.connected(f'c{i}', will=Will(t.topic(f'{i}'), b'lost', 1)) for i in range(10)]
    link.tell('cut')
    for c in clients:
        expect_told(t, c)
    got = sorted(sub.receive().topic for _ in clients)
    assert got == sorted(t.topic(f'{i}') for i in range(10)), got
    t.served('again').publish(t.topic('again'), b'works', 1)
    sub.receive(t.topic('again'), 'works')


@chain_test(*EVERY_VERSION, relay=True)
def a_killed_broker_is_told_to_the_clients(t):
    """kill -9 of mosquitto; when another stands in its place, clients are served without restarting a proxy."""
    broker, _, _ = t.chain()
    clients = [t.connected(f'c{i}') for i in range(5)]
    broker.kill()
    for c in clients:
        expect_told(t, c)
    c = t.client('too early')
    c.connect(code=0x88 if t.version == V5 else 3)
    c.expect_closed()
    t.mosquitto(port=broker.port)
    t.served('again').fence()


@chain_test(V311, V5, relay=True)
def qos_2_is_exactly_once_over_a_killed_s_proxy(t):
    """C5: s-proxy dies after the broker's PUBREC; the client comes back, releases, and the message is delivered once."""
    broker, s_proxy, _ = t.chain()
    sub = watcher(t, broker)
    lasting = {'clean': False, **({'properties': [('session_expiry', 300)]} if t.version == V5 else {})}
    c = t.connected('c', **lasting)
    c.send(wire.publish(t.version, t.topic('once'), b'once', 2, 7))
    c.expect('PUBREC', packet_id=7)
    s_proxy.kill()
    expect_told(t, c)
    t.s_proxy([broker.url], listen=s_proxy.target)
    c = t.served('c', **lasting)
    assert c.connack.session_present
    c.send(wire.publish(t.version, t.topic('once'), b'once', 2, 7, dup=True))
    c.expect('PUBREC', packet_id=7)
    c.send(wire.ack(t.version, 'PUBREL', 7))
    c.expect('PUBCOMP', packet_id=7)
    sub.receive(t.topic('once'), 'once')
    sub.fence()


@chain_test(V5, relay=True)
def a_stalled_link_lets_the_keep_alive_decide(t):
    """No byte moves between the proxies, nobody closes: the broker's keep-alive fires the will, new clients wait no longer
    than their patience; once the link moves again they are served."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    link = t.relay(s_proxy.address)
    t.r_proxy(f'127.0.0.1:{link.port}')
    sub = watcher(t, broker)
    c = t.connected('c', keep_alive=1, will=Will(t.topic('will'), b'lost', 1))
    link.tell('stall')
    c.send(wire.pingreq())
    sub.receive(t.topic('will'), 'lost')
    link.tell('resume')
    c.is_quiet = True
    while c.next() != 'closed':
        pass
    t.served('again').fence()


@chain_test(V5, relay=True)
def a_lost_client_within_a_large_message_leaves_nothing(t):
    """M50 through the chain: 5 MB of a 10 MB PUBLISH, then a reset: not delivered, the will fires, others go on."""
    broker, _, _ = t.chain()
    sub = watcher(t, broker)
    c = t.connected('c', will=Will(t.topic('will'), b'lost', 1))
    other = t.connected('other')
    whole = wire.publish(V5, t.topic('large'), b'x' * 10_000_000, 1, 1)
    c.send(whole[:5_000_000])
    c.reset()
    sub.receive(t.topic('will'), 'lost')
    other.publish(t.topic('other'), b'goes on', 1)
    sub.receive(t.topic('other'), 'goes on')
    sub.fence()


@chain_test(V5, relay=True)
def the_same_id_at_two_r_proxies_is_one_client(t):
    """C4: exactly one stays; the other is told, by 0x8E where the broker says it, else by 0x8B."""
    broker, s_proxy, first = t.chain()
    second = t.r_proxy(s_proxy.target)
    old = t.connected('old', client_id='same', address=first.address)
    new = t.connected('new', client_id='same', address=second.address)
    assert old.expect_end([0x8E, 0x8B]) is not None, 'not told'
    new.fence()
    assert broker.is_running()
