"""Bridges of mqtt-broker: messages exchanged with mosquitto, or with another one of ours, by persistent sessions on both sides."""

import os
import signal
import threading

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.peer import PATIENCE
from lib.persistent import check, start_pairs, wait_for_progress
from lib.programs import free_port
from lib.wire import V31, V311, V5

VERSIONS = {V31: '3', V311: '4', V5: '5'}
CONNECTED = 'bridge=far: connected'
NO_LOCAL = 4


def bridge(url, version, topics, name='far', **keys):
    """An entry of the list, as lines of the file."""
    lines = [f'  - name: {name}', f'    url: {url}', f'    version: {VERSIONS[version]}']
    lines += [f'    {key.replace("_", "-")}: {value}' for key, value in keys.items()]
    lines += ['    topics:'] + [f'      - {{{line}}}' for line in topics]
    return '\n'.join(lines) + '\n'


def write(t, *entries, name='bridges.yaml', more=''):
    path = os.path.join(t.folder, name)
    with open(path, 'w', encoding='utf-8') as out:
        out.write('workers: 2\n' + more + ('bridges:\n' + ''.join(entries) if entries else ''))
    return path


def start(t, *entries, store=None, listen='mqtt://127.0.0.1:0', name='bridges.yaml', more=''):
    """Our broker with these bridges; STORE: what the folder is called that survives it."""
    path = write(t, *entries, name=name, more=more)
    kept = 'lmdb:' + os.path.join(t.folder, store) if store else 'memory'
    return t.broker('-c', path, '--store', kept, listens=(listen,))


def far_mosquitto(t, config='', port=None):
    """It keeps its sessions on disk when it is asked to end."""
    kept = os.path.join(t.folder, 'far-kept')
    os.makedirs(kept, exist_ok=True)
    return t.mosquitto(f'persistence true\npersistence_location {kept}/\n{config}', port=port)


def url_of(broker):
    return 'mqtt://{}:{}'.format(*broker.address)


def client(t, name, broker, version=V5, **options):
    return t.connected(name, version=version, address=broker.address, **options)


@chain_test(V31, V311, V5)
def messages_cross_with_other_names(t):
    """Out, in and both, QoS 0, 1 and 2, prefixes replaced both ways; nothing comes back to where it began; RETAIN stays."""
    far = t.mosquitto()
    near = start(t, bridge(far.url, t.version, (
        'filter: "out/#", direction: out, qos: 2',
        'filter: "in/#", direction: in, qos: 2',
        'filter: "r/#", direction: both, qos: 2, local-prefix: "loc/", remote-prefix: "rem/"')))
    near.wait_log(CONNECTED)
    here, there = client(t, 'here', near), client(t, 'there', far)
    here.subscribe(('#', 2 | NO_LOCAL))
    there.subscribe(('#', 2 | NO_LOCAL))
    for qos in (0, 1, 2):
        here.publish('out/a', b'out', qos)
        there.receive('out/a', 'out', qos=qos)
        there.publish('in/a', b'in', qos)
        here.receive('in/a', 'in', qos=qos)
        here.publish('loc/r/x', b'both out', qos)
        there.receive('rem/r/x', 'both out', qos=qos)
        there.publish('rem/r/y', b'both in', qos)
        here.receive('loc/r/y', 'both in', qos=qos)
    here.publish('in/not', b'stays', 1)
    there.publish('out/not', b'stays', 1)
    here.publish('out/kept', b'retained', 1, retain=True)
    there.receive('out/kept', 'retained')
    there.publish('in/kept', b'retained', 1, retain=True)
    here.receive('in/kept', 'retained')
    here.fence()
    there.fence()
    for broker, topic in ((far, 'out/kept'), (near, 'in/kept')):
        late = client(t, 'late', broker)
        late.subscribe((topic, 1))
        late.receive(topic, 'retained', retain=1)
    near.assert_metrics(bridge_connected=1, bridge_dropped_total=0)
    near.wait_metric('bridge_queued', 0)


@chain_test()
def properties_of_mqtt_5_cross(t):
    """Content type, response topic, correlation data, user properties and what is left of the expiry; 3.1.1 has none."""
    far = t.mosquitto()
    near = start(t, bridge(far.url, V5, ('filter: "5/#", direction: both, qos: 1',)),
                 bridge(far.url, V311, ('filter: "3/#", direction: both, qos: 1',), name='old'))
    near.wait_log(CONNECTED)
    near.wait_log('bridge=old: connected')
    here, there = client(t, 'here', near), client(t, 'there', far)
    properties = [('message_expiry', 1000), ('content_type', 'text'), ('response_topic', 'r'), ('correlation_data', b'c'),
                  ('user_property', ('a', '1')), ('user_property', ('b', '2')), ('payload_format', 1)]
    for sender, receiver in ((here, there), (there, here)):
        receiver.subscribe(('5/#', 1), ('3/#', 1))
        sender.publish('5/x', b'm', 1, properties=properties)
        got = receiver.receive('5/x', 'm')
        assert 990 <= got.prop('message_expiry') <= 1000, got
        assert sorted(p for p in got.properties if p[0] != 'message_expiry') == sorted(properties[1:]), got
        sender.publish('3/x', b'm', 1, properties=properties[1:])
        assert receiver.receive('3/x', 'm').properties == []
        receiver.unsubscribe('5/#', '3/#')


@chain_test(V311, V5)
def what_waits_crosses_when_the_far_broker_is_back(t):
    """The far broker is away from the beginning, and ends once more later: what was published meanwhile arrives, on either
    side, each message once and in order; QoS 0 does not wait."""
    port = free_port()
    near = start(t, bridge(f'mqtt://127.0.0.1:{port}', t.version, ('filter: "#", direction: both, qos: 2',)))
    near.wait_log('bridge=far: not connected')
    here = client(t, 'here', near)
    for i in range(60):
        here.publish('out', b'%d' % i, 1 + i % 2)
    here.publish('out', b'not kept', 0)
    far = far_mosquitto(t, port=port)
    there = client(t, 'there', far, clean=False, properties=[('session_expiry', 1000)])
    there.subscribe(('out', 2))
    near.wait_log(CONNECTED)
    check_numbers([int(m.payload) for m in there.receive_many(count=60)], 60)
    here.subscribe(('in', 2))
    since = near.mark()
    near.wait_metric('bridge_queued', 0)
    far.stop()
    near.wait_log('bridge=far: connection lost', since)
    here.publish('out', b'while it was away', 2)
    far = far_mosquitto(t, port=port)
    near.wait_log(CONNECTED, since)
    again = t.client('there', version=V5, address=far.address)
    again.connect(clean=False, present=True, properties=[('session_expiry', 1000)])
    assert [m.payload for m in again.receive_many(count=1)] == [b'while it was away']
    again.publish('in', b'back', 2)
    here.receive('in', 'back')
    again.fence()


@chain_test(V311, V5)
def nothing_is_lost_or_doubled_while_brokers_are_killed(t):
    """Messages stream both ways through the bridge while one broker, then the other, is killed: QoS 1 all there, QoS 2 each once."""
    far = start(t, store='far', name='far.yaml')
    entry = bridge(url_of(far), t.version, ('filter: "#", direction: both, qos: 2',), max_inflight=500)
    options = {'store': 'near', 'more': 'max-queued-messages: 0\nmax-queued-bytes: 0\n'}
    near = start(t, entry, **options)
    near.wait_log(CONNECTED)
    stop = threading.Event()
    here, there = Side(t, near), Side(t, far)
    ways = [start_pairs(t, 1, stop, publish_at=here, subscribe_at=there, name='out'),
            start_pairs(t, 1, stop, publish_at=there, subscribe_at=here, name='in')]
    pairs = [pair for way, _ in ways for pair in way]
    for _ in range(2):
        wait_for_progress(pairs)
        since = near.mark()
        far.kill()
        far = start(t, store='far', name='far.yaml', listen=url_of(far))
        near.wait_log(CONNECTED, since)
        wait_for_progress(pairs)
        near.kill()
        near = start(t, entry, listen=url_of(near), **options)
        near.wait_log(CONNECTED)
    stop.set()
    for _, threads in ways:
        for thread in threads:
            thread.join(4 * PATIENCE)
            assert not thread.is_alive(), 'a client never got to its end'
    for publisher, subscriber in pairs:
        check(publisher.count, subscriber.received, publisher.name)


def check_numbers(got, count):
    """Odd ones were QoS 2: each once; even ones at least once; both in order among themselves, as far as mosquitto keeps it."""
    assert [n for n in got if n % 2] == list(range(1, count, 2)), got
    assert list(dict.fromkeys(n for n in got if n % 2 == 0)) == list(range(0, count, 2)), got


class Side:
    """Where clients of start_pairs() connect: a broker and what makes its names of its own."""

    def __init__(self, t, broker):
        self.base, self.address = t.base, broker.address


@chain_test(V311, V5)
def what_waits_survives_a_kill(t):
    """Our broker is killed while the far one is away, and once more while messages cross: nothing is lost, QoS 2 not doubled."""
    far = far_mosquitto(t)
    port = far.port
    there = client(t, 'there', far, clean=False, properties=[('session_expiry', 1000)])
    there.subscribe(('out/#', 2))
    there.disconnect()
    far.stop()
    entry = bridge(far.url, t.version, ('filter: "out/#", direction: out, qos: 2',))
    near = start(t, entry, store='near')
    here = client(t, 'here', near)
    for i in range(100):
        here.publish('out/%d' % (i % 3), b'%d' % i, 1 + i % 2)
    near.kill()
    far = far_mosquitto(t, port=port)
    near = start(t, entry, store='near')
    near.wait_log(CONNECTED)
    near.kill()             # anywhere among them
    near = start(t, entry, store='near')
    near.wait_log(CONNECTED)
    near.wait_metric('bridge_queued', 0)
    there = t.client('there', version=V5, address=far.address)
    there.connect(clean=False, present=True, properties=[('session_expiry', 1000)])
    client(t, 'last', far).publish('out/last', b'last', 2)
    got = [int(m.payload) for m in there.receive_many(last=b'last') if m.payload != b'last']
    check_numbers(got, 100)


@chain_test(V311, V5)
def status_topic_tells_here_and_there(t):
    """1 while it is connected, 0 when it has ended in order and when it is lost, retained on both sides."""
    far = t.mosquitto()
    entry = bridge(far.url, t.version, ('filter: "out/#", direction: out, qos: 1',), status_topic='bridge/far/status')
    near = start(t, entry)
    here, there = client(t, 'here', near), client(t, 'there', far)
    near.wait_log(CONNECTED)
    here.subscribe(('bridge/#', 1))
    there.subscribe(('bridge/#', 1))
    here.receive('bridge/far/status', '1')
    there.receive('bridge/far/status', '1')
    near.kill()
    there.receive('bridge/far/status', '0')
    near = start(t, entry)
    there.receive('bridge/far/status', '1')
    near.stop()
    there.receive('bridge/far/status', '0')
    there.fence()
    near = start(t, entry)
    there.receive('bridge/far/status', '1')
    here = client(t, 'here', near)
    here.subscribe(('bridge/#', 1))
    here.receive('bridge/far/status', '1')
    far.kill()
    here.receive('bridge/far/status', '0')


@chain_test()
def a_bridge_speaks_tls_and_logs_in(t):
    """mqtts with a CA, a certificate of its own, user name and password; with another CA it says why not."""
    certs, others = (Certs(os.path.join(t.folder, name)) for name in ('certs', 'others'))
    far, url = t.tls_mosquitto(certs, 'require_certificate true')
    topics = ('filter: "#", direction: both, qos: 1',)
    secret = os.path.join(t.folder, 'secret')
    with open(secret, 'w', encoding='ascii') as out:
        out.write('pass word\n')
    os.chmod(secret, 0o600)
    keys = {'tls_ca': certs['ca.pem'], 'tls_cert': certs['client.pem'], 'tls_key': certs['client-key.pem'],
            'username': 'gw', 'password_file': secret}
    near = start(t, bridge(url, V5, topics, **keys),
                 bridge(url, V5, topics, name='wrong', tls_ca=others['ca.pem']))
    near.wait_log(CONNECTED)
    assert 'certificate' in near.wait_log('bridge=wrong: not connected: (.*)').group(1)
    far.wait_log("as bridge-far .*u'gw'")
    here, there = client(t, 'here', near), client(t, 'there', far)
    there.subscribe(('#', 1))
    here.publish('a', b'm', 1)
    there.receive('a', 'm')


@chain_test(V311, V5)
def a_bridge_reaches_a_broker_by_websocket_and_unix_socket(t):
    """Out by the one, in by the other."""
    path = os.path.join(t.folder, 'far.sock')
    port = free_port()
    far = t.broker('--store', 'memory', listens=('mqtt://127.0.0.1:0', f'ws://127.0.0.1:{port}', f'unix:{path}'))
    near = start(t, bridge(f'ws://127.0.0.1:{port}', t.version, ('filter: "out", direction: out, qos: 2',), name='ws'),
                 bridge(f'unix:{path}', t.version, ('filter: "in", direction: in, qos: 2',), name='unix'))
    near.wait_log('bridge=ws: connected')
    near.wait_log('bridge=unix: connected')
    here, there = client(t, 'here', near), client(t, 'there', far)
    here.subscribe(('in', 2))
    there.subscribe(('out', 2))
    for qos in (0, 1, 2):
        here.publish('out', b'out', qos)
        there.receive('out', 'out', qos=qos)
        there.publish('in', b'in', qos)
        here.receive('in', 'in', qos=qos)


@chain_test(V5)
def what_the_far_broker_refuses_is_told_and_passed_over(t):
    """One message too large for it is dropped and counted, those behind it cross, within its Receive Maximum of 2."""
    far = t.mosquitto('max_inflight_messages 2\nmax_packet_size 2000\n')
    near = start(t, bridge(far.url, t.version, ('filter: "out/#", direction: out, qos: 2',)))
    near.wait_log(CONNECTED)
    here, there = client(t, 'here', near), client(t, 'there', far)
    there.subscribe(('out/#', 2))
    here.publish('out/large', bytes(5000), 1)
    for i in range(30):
        here.publish('out/%d' % i, b'%d' % i, 1 + i % 2)
    assert sorted(int(m.payload) for m in there.receive_many(count=30)) == list(range(30))
    near.wait_metric('bridge_queued', 0)
    near.assert_metrics(bridge_dropped_total=1)


@chain_test()
def a_far_broker_with_a_maximum_qos_gets_no_more(t):
    """What is of QoS 2 here crosses with QoS 1 or 0, in order and once, and is done with here; it may be retained only where it can."""
    for most in (1, 0):
        far = t.mosquitto(f'max_qos {most}\nretain_available false\n')
        near = start(t, bridge(far.url, V5, ('filter: "out/#", direction: out, qos: 2',)), name=f'{most}.yaml')
        near.wait_log(CONNECTED)
        here, there = client(t, f'here{most}', near), client(t, f'there{most}', far)
        there.subscribe(('out/#', most))
        for qos in (0, 1, 2, 2, 1):
            here.publish('out/a', b'%d' % qos, qos, retain=True)
            there.receive('out/a', b'%d' % qos, qos=min(qos, most), retain=0)
        near.wait_metric('bridge_queued', 0)
        near.assert_metrics(bridge_messages_out_total=5, bridge_dropped_total=0)


@chain_test()
def no_client_gets_the_session_of_a_bridge(t):
    """Its client id is refused to everybody else; it needs no password and no line of the ACL."""
    far = t.mosquitto()
    acl = os.path.join(t.folder, 'acl')
    with open(acl, 'w', encoding='ascii') as out:
        out.write('topic readwrite here/#\n')
    near = start(t, bridge(far.url, V5, ('filter: "#", direction: both, qos: 1',)), more=f'acl-file: {acl}\n')
    near.wait_log(CONNECTED)
    for version, code in ((V311, 2), (V5, 0x85)):
        thief = t.client('thief', version=version, client_id='$bridge/far', address=near.address)
        thief.connect(code=code)
        thief.expect_closed()
    here, there = client(t, 'here', near), client(t, 'there', far)
    there.subscribe(('#', 1 | NO_LOCAL))
    here.publish('here/a', b'm', 1)
    there.receive('here/a', 'm')
    here.subscribe(('here/#', 1 | NO_LOCAL))
    there.publish('here/b', b'm', 1)
    here.receive('here/b', 'm')


@chain_test()
def bridges_change_on_sighup(t):
    """One is added, one changes its topics, one is removed with its session; what has not changed stays connected."""
    far = t.mosquitto()
    same = bridge(far.url, V5, ('filter: "same/#", direction: out, qos: 1',), name='same')
    near = start(t, same, bridge(far.url, V5, ('filter: "one/#", direction: out, qos: 1',), name='changes'),
                 bridge(far.url, V5, ('filter: "gone/#", direction: out, qos: 1',), name='goes'))
    for name in ('same', 'changes', 'goes'):
        near.wait_log(f'bridge={name}: connected')
    since = near.mark()
    write(t, same, bridge(far.url, V5, ('filter: "two/#", direction: out, qos: 1',), name='changes'),
          bridge(far.url, V5, ('filter: "new/#", direction: out, qos: 1',), name='comes'))
    near.signal(signal.SIGHUP)
    near.wait_log('bridge=comes: connected', since)
    near.wait_log('bridge=changes: connected', since)
    near.wait_log(r"bridge '\$bridge/goes' is not there any more", since)
    here, there = client(t, 'here', near), client(t, 'there', far)
    there.subscribe(('#', 1))
    for topic in ('same/a', 'one/a', 'two/a', 'gone/a', 'new/a'):
        here.publish(topic, b'm', 1)
    assert sorted(there.receive().topic for _ in range(3)) == ['new/a', 'same/a', 'two/a']
    there.fence()
    assert 'bridge=same: connected' not in '\n'.join(line or '' for line in near.lines[since:])
    # what is not subscribed to any more is unsubscribed from there
    since, marked = near.mark(), far.mark()
    write(t, bridge(far.url, V5, ('filter: "in/#", direction: in, qos: 1', 'filter: "new/#", direction: in'), name='comes'))
    near.signal(signal.SIGHUP)
    near.wait_log('bridge=comes: connected', since)
    far.wait_log(r'bridge-comes 1 in/#', marked)
    since, marked = near.mark(), far.mark()
    write(t, bridge(far.url, V5, ('filter: "new/#", direction: both, qos: 1',), name='comes'))
    near.signal(signal.SIGHUP)
    near.wait_log('bridge=comes: connected', since)
    far.wait_log(r'Received UNSUBSCRIBE from bridge-comes', marked)
    far.wait_log(r'\tin/#', marked)
    since = near.mark()
    write(t, same.replace('qos: 1', 'qos: 3'))
    near.signal(signal.SIGHUP)
    near.wait_log(r'bridges\.yaml:\d+: qos: 3 is outside 0\.\.2', since)
    here.publish('new/b', b'm', 1)
    there.receive('new/b')


@chain_test()
def mistakes_name_file_line_and_key(t):
    """--check-config and the start say where."""
    far = 'mqtt://127.0.0.1:1'
    good = 'filter: "a", direction: out'
    wrong = (
        (bridge(far, V5, ('filter: "a/#/b"',)), r'bridges.yaml:7: filter: is no topic filter'),
        (bridge(far, V5, ('direction: out',)), r'bridges.yaml:7: topics: filter: is missing'),
        (bridge(far, V5, ('filter: a, direction: up',)), r'bridges.yaml:7: direction: "up" is none of out, in, both'),
        (bridge(far, V5, ('filter: a, local-prefix: "+/"',)), r'bridges.yaml:7: local-prefix: a prefix has no wildcards'),
        (bridge('http://x', V5, (good,)), r'bridges.yaml:4: url: '),
        (bridge(far, V5, (good,), name='a/b'), r"bridges.yaml:3: name: 'a/b': a name has"),
        (bridge(far, V5, (good,)) + bridge(far, V5, (good,)), r'bridges.yaml:8: bridges: name: there are two of name far'),
        (bridge(far, V5, (good,), client_id='x') + bridge(far, V5, (good,), client_id='x', name='b'),
         r'bridges.yaml:9: bridges: client-id: bridge far has the same one'),
        ('  - name: x\n', r'bridges.yaml:3: bridges: url: is missing'),
        (bridge(far, V5, (good,), nonsense=1), r'bridges.yaml:6: nonsense: unknown key'),
        (bridge(far, V311, (good,), password_file='x'), r'bridges.yaml:3: bridges: password-file: '),
        (bridge('mqtts://127.0.0.1:1', V5, (good,), tls_ca='/none.pem'), r'bridges.yaml:3: bridges: .*/none.pem'),
    )
    for entry, text in wrong:
        path = write(t, entry)
        program = t.broker('-c', path, '--check-config', ready=False)
        assert program.wait_exit() == 1, program.log()
        program.wait_log(text)
        t.programs.remove(program)


@chain_test(V5)
def two_bridges_to_each_other_make_no_loop(t):
    """Two brokers with a bridge each to the other, all topics both ways: no message comes back to where it began."""
    ports = free_port(), free_port()
    names = 'one', 'two'
    topics = ('filter: "#", direction: both, qos: 2',)
    brokers = [start(t, bridge(f'mqtt://127.0.0.1:{ports[1 - i]}', V5, topics, client_id=names[i]), name=f'{names[i]}.yaml',
                     listen=f'mqtt://127.0.0.1:{ports[i]}') for i in range(2)]
    for broker in brokers:
        broker.wait_log(CONNECTED)
    pairs = [(client(t, f'{name}-pub', broker), client(t, f'{name}-sub', broker)) for name, broker in zip(names, brokers)]
    for _, sub in pairs:
        sub.subscribe(('t/#', 2))
    for (pub, own), (_, other) in (pairs, pairs[::-1]):
        for qos in (0, 1, 2):
            pub.publish('t/x', b'%d' % qos, qos, properties=[('user_property', ('k', 'v'))])
            own.receive('t/x', b'%d' % qos)
            for got in other.receive_many(count=2):         # there are two bridges, and either of them carries it
                assert got.payload == b'%d' % qos and got.properties == [('user_property', ('k', 'v'))], got
    for _, sub in pairs:
        sub.fence()
    for broker in brokers:
        broker.assert_metrics(bridge_messages_in_total=3, bridge_messages_out_total=3)


@chain_test(V5)
def messages_go_round_a_ring_once(t):
    """Three brokers, each with a bridge to the next and loop-guard: what comes round to where it began goes no further."""
    ports = [free_port() for _ in range(3)]
    topics = ('filter: "#", direction: out, qos: 2',)
    brokers = [start(t, bridge(f'mqtt://127.0.0.1:{ports[(i + 1) % 3]}', V5, topics, client_id=f'ring{i}', loop_guard='true'),
                     name=f'{i}.yaml', listen=f'mqtt://127.0.0.1:{ports[i]}') for i in range(3)]
    for broker in brokers:
        broker.wait_log(CONNECTED)
    subs = [client(t, f'sub{i}', brokers[i]) for i in range(3)]
    for sub in subs:
        sub.subscribe(('t', 2))
    pub = client(t, 'pub', brokers[0])
    for qos in (0, 1, 2):
        pub.publish('t', b'%d' % qos, qos)
        for sub, times in zip(subs, (2, 1, 1)):         # the second may come while the first is not done
            got = sub.receive_many(times)
            assert [(m.topic, m.payload) for m in got] == [('t', b'%d' % qos)] * times, got
    brokers[0].wait_metric('bridge_looped_total', 3)
    for broker in brokers:
        broker.wait_metric('bridge_messages_out_total', 3)
    for sub in subs:
        sub.fence()


@chain_test(V5)
def a_far_session_that_is_lost_costs_nothing_new(t):
    """The far broker forgets everything: QoS 2 messages that it sends under ids used before are not taken for repeats."""
    far = t.scripted()
    near = start(t, bridge(f'mqtt://127.0.0.1:{far.port}', t.version, ('filter: "in", direction: in, qos: 2',)))
    here = client(t, 'here', near)
    here.subscribe(('in', 2))
    peer = t.serve(far)
    peer.expect('SUBSCRIBE', packet_id=65535)
    peer.send(wire.suback(t.version, 65535, [2]))
    peer.send(wire.publish(t.version, 'in', b'first', 2, 7))
    peer.expect('PUBREC', packet_id=7)
    here.receive('in', 'first')
    peer.close()
    peer = t.serve(far)                 # session present: 0
    peer.expect('SUBSCRIBE', packet_id=65535)
    peer.send(wire.publish(t.version, 'in', b'second', 2, 7))
    peer.expect('PUBREC', packet_id=7)
    here.receive('in', 'second')
    peer.send(wire.ack(t.version, 'PUBREL', 7))
    peer.expect('PUBCOMP', packet_id=7, code=0)
