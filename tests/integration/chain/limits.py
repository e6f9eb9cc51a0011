"""Limits of r-proxy and of the broker: who is one too many hears why, is counted, and hurts nobody."""

import os
import re
import resource
import select
import socket
import ssl
import time

from lib import websocket, wire
from lib.case import chain_test
from lib.certs import Certs
from lib.peer import PATIENCE, connect_to
from lib.wire import V31, V311, V5, Will

from .tenants import tenants_front


def refused(t, name, code):
    """A client that hears CONNACK with CODE (3.x: 3, server unavailable) and nothing else."""
    c = t.client(name)
    c.send(wire.connect(c.version, c.client_id))
    c.expect('CONNACK', code=code if t.version == V5 else 3)
    c.expect_closed()


@chain_test(V31, V311, V5, front=True)
def one_connection_too_many_is_told_so(t):
    """--max-connections 2: the third hears 0x89; a place that is left is free again."""
    front = t.front('--max-connections', '2')
    first, second = t.connected('first'), t.connected('second')
    refused(t, 'third', 0x89)
    assert front.count('connections_over_limit_total') == 1
    front.wait_log('connection from 127.0.0.1:.* refused: .*max-connections')
    first.disconnect()
    front.wait_count('connections_open', 1)
    t.connected('fourth').fence()
    second.fence()


@chain_test(V311, V5, front=True)
def an_address_has_only_so_many_connections(t):
    """--max-connections-per-address 1: a second one from there hears 0x97, one from elsewhere is served."""
    front = t.front('--max-connections-per-address', '1')
    first = t.connected('first')
    refused(t, 'second', 0x97)
    assert front.count('connections_over_address_limit_total') == 1
    other = t.client('other', sock=socket.create_connection(front.address, PATIENCE, source_address=('127.0.0.9', 0)))
    other.connect()
    other.fence()
    first.fence()


@chain_test(V311, V5, front=True)
def connections_that_come_too_fast_are_told_so(t):
    """--connect-rate 3: of ten at once some are served and the others hear 0x9F; later all are served again."""
    front = t.front('--connect-rate', '3')
    clients = [t.client(f'c{i}') for i in range(10)]
    codes = []
    for c in clients:
        c.send(wire.connect(c.version, c.client_id))
        codes.append(c.expect('CONNACK').code)
    assert codes[:3] == [0, 0, 0], codes
    assert (0x9F if t.version == V5 else 3) in codes, codes
    assert front.count('connections_over_rate_total') == sum(code != 0 for code in codes)
    while True:
        c = t.client('later')
        c.send(wire.connect(c.version, c.client_id))
        if c.expect('CONNACK').code == 0:
            return


@chain_test(V5, front=True)
def a_refused_connection_that_says_nothing_is_closed_in_time(t):
    """It does not stay for longer than --connect-timeout, and the log has not more than a few lines."""
    front = t.front('--max-connections', '1', '--connect-timeout', '200ms')
    first = t.connected('first')
    for silent in [t.client(f'silent{i}') for i in range(20)]:
        silent.expect_closed()
    assert front.count('connections_over_limit_total') == 20
    assert len(re.findall('connection from .* refused', front.log())) == 5, front.log()
    first.fence()


def flood(t, count, payload):
    """A client sends COUNT messages as fast as it can, another has subscribed; returns how long it took until all had come."""
    receiver = t.connected('receiver')
    receiver.subscribe((t.topic('t'), 0))
    sender = t.connected('sender')
    sender.is_quiet = receiver.is_quiet = True
    began = time.monotonic()
    sender.send(*(wire.publish(t.version, t.topic('t'), payload) for _ in range(count)))
    for _ in range(count):
        receiver.expect('PUBLISH')
    sender.fence()
    receiver.disconnect()
    return time.monotonic() - began


@chain_test(V311, V5, front=True)
def a_client_that_publishes_too_fast_is_held_back(t):
    """--max-message-rate 50: of 100 messages 50 pass at once and 50 within a second; all arrive and nobody is disconnected."""
    front = t.front('--max-message-rate', '50')
    took_s = flood(t, 100, b'x')
    assert took_s > 0.9, took_s
    assert front.count('clients_paced_total') >= 1
    front.wait_log('not read for .* max-message-rate')
    assert front.count('clients_lost_total') == 0


@chain_test(V311, V5, front=True)
def a_client_that_sends_too_many_bytes_is_held_back(t):
    """--max-byte-rate 20k: 40 messages of 1,000 bytes take about a second."""
    front = t.front('--max-byte-rate', '20k')
    took_s = flood(t, 40, b'x' * 1000)
    assert took_s > 0.9, took_s
    front.wait_log('not read for .* max-byte-rate')
    assert front.count('clients_lost_total') == 0


@chain_test(V5, front=True)
def keep_alive_does_not_run_while_a_client_is_held_back(t):
    """A packet that is worth three seconds of --max-byte-rate, from a client with a keep-alive time of one."""
    front = t.front('--max-byte-rate', '2k')
    c = t.connected('c', keep_alive=1)
    c.send(wire.publish(V5, t.topic('t'), b'x' * 8000))
    front.wait_log('not read for [23]')
    c.fence()
    assert front.count('clients_timed_out_total') == 0


@chain_test(V5)
def topic_aliases_are_lowered_and_held_to(t):
    """Mosquitto offers 10: --topic-alias-maximum 3 says 3 in CONNACK, alias 3 passes and alias 4 ends the client with 0x94. 20 does
    not raise it."""
    r_proxy = t.front('--topic-alias-maximum', '3')
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id))
    c.expect('CONNACK', topic_alias_maximum=3)
    c.subscribe((t.topic('#'), 0))
    c.send(wire.publish(V5, t.topic('a'), b'x', properties=[('topic_alias', 3)]))
    c.expect('PUBLISH')
    c.send(wire.publish(V5, t.topic('a'), b'x', properties=[('topic_alias', 4)]))
    c.expect('DISCONNECT', code=0x94)
    c.expect_closed()
    assert r_proxy.metric('rproxy_protocol_errors_total') == 1
    r_proxy.wait_log('client=.* closed: .*[Aa]lias')
    t.front('--topic-alias-maximum', '20')
    c = t.client('d')
    c.send(wire.connect(V5, c.client_id))
    c.expect('CONNACK', topic_alias_maximum=10)


def scripted(t, *options):
    """A client and the broker's end of its connection, which the test plays."""
    broker = t.scripted()
    r_proxy = t.r_proxy(t.s_proxy([f'mqtt://127.0.0.1:{broker.port}']).target, *options)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    upstream = t.serve(broker)
    c.connack = c.expect('CONNACK', code=0)
    return r_proxy, c, upstream


@chain_test(V5, relay=True)
def more_unacknowledged_than_the_receive_maximum_is_the_end(t):
    """--receive-maximum 3: CONNACK says 3, also of a broker that says nothing; of four QoS 1 and 2 messages three reach the
    broker and the client hears 0x93. What is acknowledged makes room, and repeats take none."""
    r_proxy, c, upstream = scripted(t, '--receive-maximum', '3')
    assert c.connack.prop('receive_maximum') == 3, c.connack
    for packet_id, qos in ((1, 1), (2, 2), (3, 1)):
        c.send(wire.publish(V5, t.topic(), b'', qos, packet_id))
        upstream.expect('PUBLISH', packet_id=packet_id)
    upstream.send(wire.ack(V5, 'PUBREC', 2), wire.ack(V5, 'PUBACK', 1))
    c.expect('PUBREC', packet_id=2)
    c.expect('PUBACK', packet_id=1)
    c.send(wire.publish(V5, t.topic(), b'', 1, 4), wire.publish(V5, t.topic(), b'', 1, 4, dup=True))
    upstream.expect('PUBLISH', packet_id=4, dup=0)
    upstream.expect('PUBLISH', packet_id=4, dup=1)
    c.send(wire.publish(V5, t.topic(), b'', 1, 5))
    c.expect('DISCONNECT', code=0x93)
    c.expect_closed()
    upstream.expect_closed()
    assert r_proxy.metric('rproxy_clients_over_receive_maximum_total') == 1
    r_proxy.wait_log('client=.* closed: .*receive-maximum')


@chain_test(V5)
def releases_of_an_earlier_connection_take_nothing_from_the_receive_maximum(t):
    """A client that comes back releases what it published before; its quota is whole all the same."""
    _, c, upstream = scripted(t, '--receive-maximum', '2')
    c.send(*(wire.ack(V5, 'PUBREL', packet_id) for packet_id in (11, 12, 13)))
    c.send(*(wire.publish(V5, t.topic(), b'', 1, packet_id) for packet_id in (1, 2)))
    for packet_id in (11, 12, 13):
        upstream.expect('PUBREL', packet_id=packet_id)
    for packet_id in (1, 2):
        upstream.expect('PUBLISH', packet_id=packet_id)
    upstream.send(*(wire.ack(V5, 'PUBCOMP', packet_id) for packet_id in (11, 12, 13)))
    for packet_id in (11, 12, 13):
        c.expect('PUBCOMP', packet_id=packet_id)


@chain_test(V5)
def the_receive_maximum_is_never_raised(t):
    """Mosquitto offers 20: that stays so with --receive-maximum 30."""
    t.front('--receive-maximum', '30')
    assert t.connected('c').connack.prop('receive_maximum') == 20


@chain_test(V311, relay=True)
def an_old_client_is_not_read_while_its_acknowledgements_are_due(t):
    """--receive-maximum 2 knows no word in 3.x: the third QoS 1 message waits for a PUBACK. QoS 2 does not wait: its PUBREL would
    too."""
    r_proxy, c, upstream = scripted(t, '--receive-maximum', '2')
    c.send(*(wire.publish(V311, t.topic(), b'', 2, packet_id) for packet_id in (11, 12, 13)))
    for packet_id in (11, 12, 13):
        upstream.expect('PUBLISH', packet_id=packet_id)
    c.send(*(wire.publish(V311, t.topic(), b'', 1, packet_id) for packet_id in range(1, 6)))
    for packet_id in (1, 2):
        upstream.expect('PUBLISH', packet_id=packet_id)
    r_proxy.wait_metric('rproxy_clients_held_total', 1)
    assert r_proxy.metric('rproxy_packets_up_total') == 5
    for packet_id in (1, 2, 3):
        upstream.send(wire.ack(V311, 'PUBACK', packet_id))
        c.expect('PUBACK', packet_id=packet_id)
        upstream.expect('PUBLISH', packet_id=packet_id + 2)
    c.send(wire.disconnect(V311))
    upstream.send(*(wire.ack(V311, 'PUBACK', packet_id) for packet_id in (4, 5)))
    upstream.expect('DISCONNECT')


@chain_test(V31, V311, V5, relay=True, front=True)
def filters_beyond_the_limit_are_refused_in_their_places(t):
    """--max-subscriptions 3: the fourth different filter hears 0x97 (3.x: 0x80) and the others their own codes; a filter that is
    there already may be had again, and UNSUBSCRIBE makes room. What is refused is not delivered."""
    front = t.front('--max-subscriptions', '3')
    full = 0x97 if t.version == V5 else 0x80
    a, b, x, y = (t.topic(name) for name in 'abxy')
    c = t.connected('c')
    c.subscribe((a, 0), (b, 1))
    c.subscribe((x, 1), (a, 2), (y, 0), (b, 0), codes=[1, 2, full, 0])
    c.subscribe((y, 0), (t.topic('z'), 1), codes=[full, full])
    front.wait_log('SUBSCRIBE: . filters refused because of max-subscriptions')
    assert front.count('subscriptions_over_limit_total') == 3
    c.publish(y, b'not for c')
    c.unsubscribe(t.topic('never'), a)
    c.subscribe((y, 0))
    other = t.connected('other')
    other.publish(a, b'no more')
    other.publish(y, b'now')
    c.receive(y, 'now')
    c.fence()


@chain_test(V5)
def a_filter_that_the_broker_refuses_is_not_counted(t):
    """--max-subscriptions 1 with a broker that refuses: the next filter has the place."""
    _, c, upstream = scripted(t, '--max-subscriptions', '1')
    c.send(wire.subscribe(V5, 1, [('a', 0)]))
    upstream.expect('SUBSCRIBE', filters=[('a', 0)])
    upstream.send(wire.suback(V5, 1, [0x87], [('reason_string', 'not you')]))
    c.expect('SUBACK', codes=[0x87], reason_string='not you')
    c.send(wire.subscribe(V5, 2, [('b', 1), ('c', 2)], [('subscription_id', 5)]))
    upstream.expect('SUBSCRIBE', filters=[('b', 1)], subscription_id=[5])
    upstream.send(wire.suback(V5, 2, [1]))
    c.expect('SUBACK', packet_id=2, codes=[1, 0x97])
    c.send(wire.subscribe(V5, 3, [('b', 0), ('c', 0)]))
    upstream.expect('SUBSCRIBE', filters=[('b', 0)])
    upstream.send(wire.suback(V5, 3, [0, 0]))       # of a broker that cannot count
    c.expect('DISCONNECT')
    c.expect_closed()


@chain_test(V31, V311, V5, relay=True, front=True)
def filters_with_too_many_levels_are_refused(t):
    """--max-topic-levels: SUBACK 0x8F (3.x: 0x80) in the right places; of a shared subscription the filter behind the group
    counts."""
    front = t.front('--max-topic-levels', '4')
    c = t.connected('c')
    bad = 0x8F if t.version == V5 else 0x80
    c.subscribe(('1/2/3/4', 0), ('1/2/3/4/5', 0), ('1/2/3/#', 1), ('/' * 65000, 1), codes=[0, bad, 1, bad])
    c.subscribe(('////', 2), codes=[bad])
    if t.version == V5:
        c.subscribe(('$share/g/1/2/3/4', 0))
    assert front.count('topics_over_limit_total') == 3
    front.wait_log('SUBSCRIBE: .* 2 of max-topic-levels')
    c.fence()


@chain_test(V311, V5, relay=True, front=True)
def topics_with_too_many_levels_are_refused(t):
    """--max-topic-levels: QoS 0 is dropped, QoS 1 and 2 hear 0x90 and 5.0 goes on, 3.x is closed; nothing reaches the broker."""
    front = t.front('--max-topic-levels', '2')
    watcher = t.connected('watcher')
    watcher.subscribe(('#', 0))
    c = t.connected('c')
    c.send(wire.publish(t.version, '1/2/3', b'deep'), wire.publish(t.version, 'one/two', b'flat'))
    watcher.receive('one/two', 'flat')
    c.send(wire.publish(t.version, '1/2/3', b'deep', 1, 1))
    if t.version == V5:
        c.expect('PUBACK', packet_id=1, code=0x90)
        c.send(wire.publish(V5, '1/2/3', b'deep', 2, 2), wire.publish(V5, '/' * 65000, b'deep', 2, 3))
        c.expect('PUBREC', packet_id=2, code=0x90)
        c.expect('PUBREC', packet_id=3, code=0x90)
        c.publish('one/two', b'again', 2)
    else:
        c.expect_closed()
        t.connected('d').publish('one/two', b'again', 2)
    watcher.receive('one/two', 'again')
    assert front.count('topics_over_limit_total') == (4 if t.version == V5 else 2)
    front.wait_log('client=.* PUBLISH of QoS 0 refused: .*max-topic-levels')


@chain_test(V311, V5, front=True)
def a_mount_point_takes_no_levels_and_no_subscriptions(t):
    """Limits are about what the client says: with --mount-point a/b/c/ two levels are two, and codes come back in their places."""
    tenants_front(t, 'mount-point: a/b/c/', options=('--max-topic-levels', '2', '--max-subscriptions', '2'))
    watcher = t.connected('watcher', address=t.watch)
    watcher.subscribe(('#', 0))
    c = t.connected('c')
    deep, full = (0x8F, 0x97) if t.version == V5 else (0x80, 0x80)
    c.subscribe(('x/y/z', 0), ('x/y', 1), ('x/+', 0), ('z', 0), codes=[deep, 1, 0, full])
    c.send(wire.publish(t.version, 'x/y/z', b'deep'))
    c.send(wire.publish(t.version, 'x/q', b'flat'))
    c.receive('x/q', 'flat')
    watcher.receive('a/b/c/x/q', 'flat')


@chain_test(V5)
def an_alias_of_a_topic_with_too_many_levels_is_the_end(t):
    """Dropped, the alias would mean another topic to the broker than to the client."""
    t.front('--max-topic-levels', '2')
    c = t.connected('c')
    c.publish(t.topic(), b'', 0, properties=[('topic_alias', 1)])
    c.send(wire.publish(V5, '1/2/3', b'', 0, properties=[('topic_alias', 1)]))
    c.expect('DISCONNECT', code=0x90)
    c.expect_closed()


@chain_test(V311, V5, front=True)
def a_will_with_too_many_levels_is_refused(t):
    """--max-topic-levels: CONNACK 0x90; 3.x has no code for it and is closed."""
    t.front('--max-topic-levels', '2')
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id, will=Will('1/2/3')))
    if t.version == V5:
        c.expect('CONNACK', code=0x90)
    c.expect_closed()
    t.connected('d', will=Will('1/2')).fence()


@chain_test(V5, front=True)
def a_keep_alive_time_that_is_too_long_is_lowered(t):
    """--max-keep-alive 1s: CONNACK says so to who asks for more and to who asks for none, and it is held to."""
    front = t.front('--max-keep-alive', '1s')
    assert t.connected('short', keep_alive=1).connack.prop('server_keep_alive') is None
    for keep_alive in (0, 60):
        c = t.connected(f'c{keep_alive}', keep_alive=keep_alive)
        assert c.connack.prop('server_keep_alive') == 1, c.connack
    c.expect('DISCONNECT', code=0x8D)
    c.expect_closed()
    front.wait_count('clients_timed_out_total', 3)


@chain_test(V31, V311, front=True)
def an_old_client_with_too_long_a_keep_alive_time_is_refused(t):
    """3.x cannot be told of another time: CONNACK 5 for more and for none."""
    front = t.front('--max-keep-alive', '90s')
    for keep_alive in (0, 91):
        c = t.client(f'c{keep_alive}')
        c.send(wire.connect(t.version, c.client_id, keep_alive=keep_alive))
        c.expect('CONNACK', code=5)
        c.expect_closed()
    assert front.count('keep_alives_over_limit_total') == 2
    front.wait_log('client=.* closed: .*max-keep-alive')
    t.connected('d', keep_alive=90).fence()


# ---- TLS and WebSocket: what comes before CONNECT costs, and is limited as well


ALL_DOORS = ('mqtt://127.0.0.1:0', 'mqtts://127.0.0.1:0', 'ws://127.0.0.1:0', 'wss://127.0.0.1:0')


class Doors:
    """What stands before clients listens in all four ways; .certs, .front and .address[SCHEME]."""

    def __init__(self, t, *options):
        self.t = t
        self.certs = Certs(os.path.join(t.folder, 'certs'))
        self.front = t.front(*self.certs.door(*options), listens=ALL_DOORS)
        self.address = dict(zip(('mqtt', 'mqtts', 'ws', 'wss'), self.front.listens))

    def socket(self, scheme, source='127.0.0.1'):
        """A TCP connection to that listener."""
        return socket.create_connection(self.address[scheme], PATIENCE, source_address=(source, 0))

    def knock(self, scheme, source='127.0.0.1'):
        """A client that has TLS and WebSocket, or what ended it on the way there."""
        sock = self.socket(scheme, source)
        c = self.t.client(f'{scheme} {sock.getsockname()[1]}', sock=sock)
        if scheme in ('mqtts', 'wss'):
            context = ssl.create_default_context(cafile=self.certs['ca.pem'])
            c.sock = context.wrap_socket(c.sock, server_hostname='localhost')
        if scheme in ('ws', 'wss'):
            c.sock = websocket.WebSocket(c.sock)
        return c

    def serve(self, scheme, source='127.0.0.1'):
        c = self.knock(scheme, source)
        c.connect()
        return c

    def assert_refused(self, scheme, source='127.0.0.1'):
        """Closed without a word: a TLS alert or an HTTP answer would be work."""
        with self.socket(scheme, source) as sock:
            try:
                assert sock.recv(1) == b'', scheme
            except ConnectionResetError:
                pass


@chain_test(front=True)
def every_door_counts_for_max_connections(t):
    """TLS and WebSocket are counted from the first byte on, and who is one too many is closed before any of it."""
    doors = Doors(t, '--max-connections', '4')
    clients = [doors.serve(scheme) for scheme in ('mqtts', 'ws', 'wss')]
    half_open = doors.socket('mqtts')
    doors.front.wait_count('connections_open', 4)
    for scheme in ('mqtts', 'ws', 'wss'):
        doors.assert_refused(scheme)
    assert doors.front.count('connections_over_limit_total') == 3
    half_open.close()
    doors.front.wait_count('connections_open', 3)
    doors.serve('wss').fence()
    for c in clients:
        c.fence()


@chain_test(front=True)
def every_door_counts_for_an_address(t):
    """--max-connections-per-address 1: one from here in TLS, none from here over WebSocket, one from elsewhere."""
    doors = Doors(t, '--max-connections-per-address', '1')
    c = doors.serve('mqtts', '127.0.0.7')
    for scheme in ('mqtts', 'ws', 'wss'):
        doors.assert_refused(scheme, '127.0.0.7')
    assert doors.front.count('connections_over_address_limit_total') == 3
    doors.serve('ws', '127.0.0.8').fence()
    doors.serve('wss', '127.0.0.9').fence()
    c.fence()


@chain_test(front=True)
def every_door_counts_for_the_connect_rate(t):
    """--connect-rate 2: of forty connections at once nearly all are refused, and make five lines in the log."""
    doors = Doors(t, '--connect-rate', '2')
    socks = [doors.socket(scheme) for scheme in ('mqtts', 'ws') * 20]
    doors.front.wait_log('connection from .* refused: .*connect-rate')
    refused = doors.front.count('connections_over_rate_total')
    assert 20 < refused <= 38, refused
    assert len(re.findall('connection from .* refused', doors.front.log())) == 5
    for sock in socks:
        sock.close()


def drip(socks, began):
    """Feed each of SOCKS, {name: (socket, bytes)}, a byte at a time until all are closed. Returns when each was, in seconds."""
    left = {name: [sock, data, 0] for name, (sock, data) in socks.items()}
    closed = {}
    while left:
        assert time.monotonic() - began < PATIENCE, f'still open: {list(left)}'
        for name, state in list(left.items()):
            sock, data, at = state
            try:
                sock.send(data[at:at + 1] or b'x')
                state[2] += 1
                is_closed = select.select([sock], [], [], 0)[0] and sock.recv(4096) == b''
            except (ConnectionResetError, BrokenPipeError):
                is_closed = True
            if is_closed:
                closed[name] = time.monotonic() - began
                del left[name]
        time.sleep(0.02)        # the pace of the attack, not a wait
    return closed


@chain_test(front=True)
def whoever_dawdles_has_one_connect_timeout_for_everything(t):
    """R02, T03, W11, a byte every 20 ms: PROXY header, ClientHello, upgrade and CONNECT share one --connect-timeout, whatever stage
    they have come to (the header alone takes 1.1 s). Others are served meanwhile."""
    doors = Doors(t, '--connect-timeout', '2s', '--proxy-protocol', 'on', '--trusted-proxies', '127.0.0.1')
    hello = bytes.fromhex('160301020001 0001fc0303') + bytes(512)
    header = b'PROXY TCP4 255.255.255.255 255.255.255.254 65535 65535\r\n'
    upgrade = websocket.request('MDEyMzQ1Njc4OWFiY2RlZg==', '/mqtt', [('X-Long', 'x' * 1000)])
    connect = wire.connect(V5, 'x' * 1000)
    began = time.monotonic()
    socks = {
        'CONNECT': (doors.socket('mqtt', '127.0.0.9'), connect),
        'ClientHello': (doors.socket('mqtts', '127.0.0.9'), hello),
        'upgrade': (doors.socket('ws', '127.0.0.9'), upgrade),
        'header': (doors.socket('mqtt'), b'PROXY TCP4 ' + b'1' * 500),
        'header, CONNECT': (doors.socket('mqtt'), header + connect),
        'header, ClientHello': (doors.socket('mqtts'), header + hello),
        'header, upgrade': (doors.socket('ws'), header + upgrade),
        'header, wss': (doors.socket('wss'), header + hello),
    }
    good = doors.serve('wss', '127.0.0.9')
    took_s = drip(socks, began)
    good.fence()
    late = {name: seconds for name, seconds in took_s.items() if seconds > 2.9}
    assert not late, late


@chain_test(front=True)
def strangers_that_never_connect_do_not_fill_the_log(t):
    """Three hundred connections with garbage: fifty lines, however many more."""
    front = t.front(alone=True)
    for _ in range(300):
        with connect_to(front.address) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
    front.wait_count('protocol_errors_total', 300)
    assert len(re.findall('closed: ', front.log())) == 50


# ---- s-proxy


@chain_test(V31, V311, V5, relay=True)
def an_s_proxy_carries_only_so_many_sessions(t):
    """--max-sessions 2: the third client hears 0x97 (3.x: 3), it is counted and logged, and a place that is left is free again."""
    s_proxy = t.s_proxy([t.mosquitto().url], '--max-sessions', '2')
    r_proxy = t.r_proxy(s_proxy.target)
    first, second = t.connected('first'), t.connected('second')
    refused(t, 'third', 0x97)
    assert s_proxy.metric('sproxy_sessions_over_limit_total') == 1
    s_proxy.wait_log('a session is refused: max-sessions')
    r_proxy.wait_log('client=.* closed: .*max-sessions')
    first.disconnect()
    s_proxy.wait_metric('sproxy_sessions_open', 1)
    t.connected('fourth').fence()
    second.fence()


@chain_test(V5, relay=True)
def a_client_goes_to_another_s_proxy_when_one_is_full(t):
    """Of two s-proxies one carries a single session: all six clients are served."""
    broker = t.mosquitto()
    small = t.s_proxy([broker.url], '--max-sessions', '1')
    large = t.s_proxy([broker.url])
    r_proxy = t.r_proxy([small.target, large.target], '--workers', '1')
    r_proxy.wait_metric('rproxy_s_proxies_up', 2)
    for i in range(6):
        t.connected(f'c{i}').fence()
    assert small.metric('sproxy_sessions_open') == 1
    assert large.metric('sproxy_sessions_open') == 5
    assert r_proxy.metric('rproxy_sessions_placed_again_total') == small.metric('sproxy_sessions_over_limit_total') > 0


@chain_test(V311, V5)
def an_s_proxy_takes_only_so_many_trunks(t):
    """--max-trunks 1 and two r-proxies: the second is refused, counted and logged, and its clients hear that no s-proxy takes them;
    when the first goes, it has the trunk."""
    s_proxy = t.s_proxy([t.mosquitto().url], '--max-trunks', '1')
    first = t.r_proxy(s_proxy.target, '--workers', '1')
    c = t.served('c')
    second = t.r_proxy(s_proxy.target, '--workers', '1')
    s_proxy.wait_log('a trunk of .* is refused: .*max-trunks')
    second.wait_log('cannot be used, .*max-trunks')
    refused(t, 'd', 0x88)
    assert s_proxy.metric('sproxy_trunks_open') == 1
    assert s_proxy.metric('sproxy_trunks_over_limit_total') >= 1
    c.fence()
    first.stop()
    t.served('e').fence()


@chain_test(V5)
def without_a_limit_of_sessions_open_files_are_one(t):
    """128 open files: 80 sessions. The others hear 0x97; that no broker could be reached would not be true."""
    s_proxy = t.s_proxy([t.mosquitto().url], limits={resource.RLIMIT_NOFILE: (128, 128)})
    t.r_proxy(s_proxy.target)
    clients = [t.connected(f'c{i}') for i in range(80)]
    for i in range(10):
        refused(t, f'd{i}', 0x97)
    clients[0].disconnect()
    s_proxy.wait_metric('sproxy_sessions_open', 79)
    t.connected('e').fence()
    assert s_proxy.metric('sproxy_broker_failures_total') == 0
