"""Several s-proxies before one broker: sessions are spread over them, go elsewhere when one is lost or drains, and come back."""

import os
import signal
import time

from lib import wire
from lib.case import chain_test
from lib.peer import CLOSED
from lib.programs import ENVIRONMENT, free_port
from lib.wire import V311, V5

WORKERS = 2
TOLD = 0x8B
BACK_OFF_S = 6.0        # the longest, with its jitter
SLACK_S = 4.0           # for a busy machine and sanitizers


def start_fleet(t, count=2, broker=None):
    broker = broker or t.mosquitto()
    s_proxies = [t.s_proxy([f'mqtt://127.0.0.1:{broker.port}']) for _ in range(count)]
    r_proxy = t.r_proxy([s_proxy.target for s_proxy in s_proxies], '--workers', str(WORKERS))
    wait_up(r_proxy, count)
    return broker, s_proxies, r_proxy


def wait_up(r_proxy, count):
    """COUNT s-proxies can be used, by every worker."""
    r_proxy.wait_metric('rproxy_s_proxies_up', WORKERS * count)


def sessions(s_proxies):
    return [s_proxy.metric('sproxy_sessions_open') for s_proxy in s_proxies]


def connect_many(t, name, count):
    """Each must be served at its first attempt."""
    return [t.connected(f'{name}{i}') for i in range(count)]


def has_ended(c):
    """Whether C has been told that its s-proxy is gone; if not, it must be served."""
    c.send_quietly(wire.pingreq())
    got = c.next()
    if got != CLOSED and got.kind == 'PINGRESP':
        return False
    assert got != CLOSED and got.kind == 'DISCONNECT' and got.code == TOLD, got
    c.expect_closed()
    return True


def split(clients):
    """Those that were told, and those that go on."""
    ended = [c for c in clients if has_ended(c)]
    return ended, [c for c in clients if c not in ended]


@chain_test(relay=True)
def sessions_are_spread(t):
    """--s-proxy twice, 60 clients: both have about half, and messages pass between clients of either."""
    _, s_proxies, _ = start_fleet(t)
    clients = connect_many(t, 'c', 60)
    assert sum(sessions(s_proxies)) == 60 and min(sessions(s_proxies)) >= 25, sessions(s_proxies)
    for c in clients:
        c.subscribe((t.topic('all'), 0))
    clients[0].send(wire.publish(V5, t.topic('all'), b'x'))
    for c in clients:
        c.receive(t.topic('all'), 'x')


@chain_test(relay=True)
def a_list_of_addresses_is_a_fleet(t):
    """ipv4:A:P,B:P in one --s-proxy: two s-proxies."""
    broker = t.mosquitto()
    s_proxies = [t.s_proxy([broker.url]) for _ in range(2)]
    r_proxy = t.r_proxy('ipv4:' + ','.join(s_proxy.target for s_proxy in s_proxies), '--workers', str(WORKERS))
    wait_up(r_proxy, 2)
    connect_many(t, 'c', 20)
    assert min(sessions(s_proxies)) >= 8, sessions(s_proxies)


@chain_test(relay=True)
def one_that_is_killed_takes_its_own_sessions_only(t):
    """kill -9: its clients hear 0x8B, those of the other go on, new ones are served there at once; back at the same address
    it has sessions again within the longest back-off."""
    broker, (first, second), r_proxy = start_fleet(t)
    clients = connect_many(t, 'c', 40)
    on_first, _ = sessions((first, second))
    first.kill()
    ended, stayed = split(clients)
    assert len(ended) == on_first, (len(ended), on_first)
    stayed += connect_many(t, 'new', 20)
    assert second.metric('sproxy_sessions_open') == len(stayed)
    again = t.s_proxy([broker.url], listen=first.target)
    start = time.monotonic()
    wait_up(r_proxy, 2)
    elapsed = time.monotonic() - start
    assert elapsed < BACK_OFF_S + SLACK_S, f'used again after {elapsed:.1f} s'
    connect_many(t, 'later', 20)
    assert again.metric('sproxy_sessions_open') == 20, 'the least loaded is not chosen'
    for c in stayed:
        c.fence()


def begin_many(t, name, count):
    """They have sent CONNECT."""
    clients = [t.client(f'{name}{i}') for i in range(count)]
    for c in clients:
        c.send(wire.connect(V5, c.client_id))
    return clients


@chain_test(relay=True)
def a_rolling_restart_refuses_nobody(t):
    """SIGTERM to each of three s-proxies in turn, and another in its place, while clients come all the time: each gets its
    CONNACK 0 at the first attempt. Who was live where it ends hears 0x8B, nobody else does."""
    broker, s_proxies, r_proxy = start_fleet(t, 3)
    for i, s_proxy in enumerate(s_proxies):
        clients = begin_many(t, f'before{i}-', 20)
        s_proxy.signal(signal.SIGTERM)
        while s_proxy.is_running():
            clients += begin_many(t, f'while{i}-{len(clients)}-', 5)
            clients += connect_many(t, f'paced{i}-{len(clients)}-', 5)
        assert s_proxy.wait_exit() == 0, s_proxy.tail()
        for c in clients:
            if not c.connack:
                c.connack = c.expect('CONNACK', code=0)
        split(clients)
        t.s_proxy([broker.url], listen=s_proxy.target)
        wait_up(r_proxy, 3)


def unanswered(t, count, *behind):
    """A fleet, a client that has sent CONNECT and BEHIND, and the broker's end of it."""
    broker = t.scripted()
    _, s_proxies, r_proxy = start_fleet(t, count, broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id, keep_alive=77), *behind)
    up = t.accept(broker)
    up.connect = up.expect('CONNECT', client_id=c.client_id)
    return broker, s_proxies, r_proxy, c, up


def in_use(s_proxies):
    return next(s_proxy for s_proxy in s_proxies if s_proxy.is_running() and s_proxy.metric('sproxy_sessions_open') == 1)


def drain(s_proxy):
    s_proxy.signal(signal.SIGTERM)
    assert s_proxy.wait_exit() == 0, s_proxy.tail()


def kill(s_proxy):
    s_proxy.kill()


@chain_test(V311, V5, relay=True)
def who_waits_for_the_brokers_answer_is_served_by_another(t):
    """An s-proxy drains, or is killed, before the broker has answered CONNECT: the same CONNECT comes through the other, what
    the client sent behind it comes once, and the client hears nothing but the answer."""
    for lose in (drain, kill):
        behind = wire.publish(t.version, 'a', b'one', 1, 1) + wire.publish(t.version, 'a', b'two', 2, 2)
        broker, s_proxies, r_proxy, c, up = unanswered(t, 2, behind)
        lose(in_use(s_proxies))
        up.expect_closed()
        up = t.serve(broker)
        assert (up.connect.client_id, up.connect.keep_alive) == (c.client_id, 77)
        c.expect('CONNACK', code=0)
        up.expect('PUBLISH', payload=b'one', dup=0)
        up.expect('PUBLISH', payload=b'two', dup=0)
        up.send(wire.ack(t.version, 'PUBACK', 1))
        c.expect('PUBACK', packet_id=1)
        c.send(wire.pingreq())
        up.expect('PINGREQ')
        assert r_proxy.metric('rproxy_sessions_placed_again_total') == 1
        c.close()
        up.expect_closed()


@chain_test(relay=True)
def a_client_that_has_left_meanwhile_leaves_nothing(t):
    """It sends CONNECT, PUBLISH and DISCONNECT, and closes; then its s-proxy drains: the broker has it all through the other."""
    behind = wire.publish(V5, 'a', b'one', 1, 1) + wire.disconnect(V5)
    broker, s_proxies, r_proxy, c, up = unanswered(t, 2, behind)
    c.close()
    drain(in_use(s_proxies))
    up.expect_closed()
    up = t.serve(broker)
    up.expect('PUBLISH', payload=b'one')
    up.expect('DISCONNECT')
    up.close()
    r_proxy.wait_metric('rproxy_sessions_open', 0)
    r_proxy.wait_metric('rproxy_connections_open', 0)


@chain_test(V311, V5, relay=True)
def three_s_proxies_are_tried_for_a_client(t):
    """Each is killed before the broker has answered: then the client is refused, and says so itself when it tries again."""
    broker, s_proxies, _, c, up = unanswered(t, 4)
    for _ in range(2):
        in_use(s_proxies).kill()
        up.expect_closed()
        up = t.accept(broker)
        up.expect('CONNECT', client_id=c.client_id)
    in_use(s_proxies).kill()
    c.expect('CONNACK', code=0x88 if t.version == V5 else 3)
    c.expect_closed()


@chain_test(relay=True)
def an_exchange_of_auth_stays_where_it_is(t):
    """The broker has asked for AUTH when the s-proxy drains: another one would be asked in the middle of it. The client is
    told, with the reason."""
    broker = t.scripted()
    _, s_proxies, _ = start_fleet(t, 2, broker)
    c = t.client('c')
    method = [('auth_method', 'challenge')]
    c.send(wire.connect(V5, c.client_id, properties=method))
    up = t.accept(broker)
    up.expect('CONNECT')
    up.version = V5
    up.send(wire.auth(0x18, method))
    c.expect('AUTH', code=0x18)
    c.send(wire.auth(0x18, method))
    up.expect('AUTH', code=0x18)
    drain(in_use(s_proxies))
    up.expect_closed()
    assert 'shutting down' in c.expect('CONNACK', code=0x88).prop('reason_string')
    c.expect_closed()


@chain_test()
def behind_a_silent_link_there_is_another_s_proxy(t):
    """Two s-proxies, the link to one goes silent: its clients are told, the others notice nothing. Every new client is served
    at its first attempt, also those whose CONNECT went into the silence: by the other, once it has been noticed."""
    broker = t.mosquitto()
    first, second = [t.s_proxy([broker.url]) for _ in range(2)]
    link = t.relay(first.address)
    r_proxy = t.r_proxy([f'127.0.0.1:{link.port}', second.target], '--workers', '1')
    r_proxy.wait_metric('rproxy_s_proxies_up', 2)
    clients = connect_many(t, 'c', 20)
    on_first = first.metric('sproxy_sessions_open')
    assert on_first >= 8, on_first
    link.tell('stall')
    new = begin_many(t, 'new', 20)
    for c in new:
        c.expect('CONNACK', code=0)
    assert r_proxy.metric('rproxy_sessions_placed_again_total') > 0
    ended, stayed = split(clients)
    assert len(ended) == on_first, (len(ended), on_first)
    for c in new + stayed:
        c.fence()


class Names:
    """A file that the programs read instead of asking a name server; see names.c."""

    def __init__(self, t):
        self.path = os.path.join(t.folder, 'names')
        # the sanitizer wants to be first, which names.so must be
        self.env = {'LD_PRELOAD': t.tools.built('names.so'), 'MQTT_TEST_NAMES': self.path,
                    'ASAN_OPTIONS': ENVIRONMENT['ASAN_OPTIONS'] + ':verify_asan_link_order=0'}

    def set(self, name, *addresses):
        with open(self.path + '.new', 'w', encoding='ascii') as file:
            file.write(' '.join((name, *addresses)) + '\n')
        os.replace(self.path + '.new', self.path)


@chain_test(relay=True)
def every_address_of_a_name_is_used(t):
    """A name with two addresses: sessions at both. When one is lost the name is looked up again: an address that it has no
    more is forgotten, a new one is used; who is connected elsewhere notices nothing."""
    broker, port, names = t.mosquitto(), free_port(), Names(t)
    hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
    first, second, third = [t.s_proxy([broker.url], listen=f'{host}:{port}') for host in hosts]
    names.set('fleet.test', *hosts[:2])
    r_proxy = t.r_proxy(f'dns:///fleet.test:{port}', '--workers', str(WORKERS), env=names.env)
    wait_up(r_proxy, 2)
    clients = connect_many(t, 'c', 20)
    assert min(sessions((first, second))) >= 8 and third.metric('sproxy_sessions_open') == 0
    names.set('fleet.test', *hosts[1:])
    first.kill()
    _, stayed = split(clients)
    r_proxy.wait_log('no longer an address of fleet.test')
    wait_up(r_proxy, 2)
    connect_many(t, 'new', 20)
    assert third.metric('sproxy_sessions_open') >= 8
    for c in stayed:
        c.fence()
