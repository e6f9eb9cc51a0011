"""libmqtt-broker: hooks of a program that has the broker inside, asked at once and later (broker_host.c)."""

import json
import os

from lib import wire
from lib.case import chain_test
from lib.peer import select_readable
from lib.programs import Broker
from lib.wire import V5, V31, V311


def start(t, *options, anonymous='true'):
    """A broker of two workers inside a program."""
    host = t.add(Broker(t.tools.built('broker_host'), '--allow-anonymous', anonymous, '--store', 'memory', '--workers', '2',
                        *options)).wait_ready()
    t.address = host.address
    return host


def start_release(t, c):
    c.send(wire.publish(c.version, 'host/release'))


@chain_test(V31, V311, V5)
def a_hook_says_who_may_connect(t):
    """At once or later, and as whom: the ACL asks the name that the hook has given. Passwords are not asked for then."""
    acl = os.path.join(t.folder, 'acl')
    with open(acl, 'w', encoding='utf-8') as lines:
        lines.write('pattern readwrite %u/#\n')
    start(t, '--acl-file', acl, anonymous='false')
    c = t.client('c')
    c.connect(username='later-alice')
    c.subscribe(('alice/#', 1))
    c.subscribe(('bob/#', 1), codes=[0x87 if t.version == V5 else 0x80])
    c.publish_to_itself('alice/x', b'hers')
    t.client('m').connect(code=0x8A if t.version == V5 else 5, username='mallory')
    t.client('nobody').connect(code=0x87 if t.version == V5 else 5, username='unknown')


@chain_test(V5)
def who_waits_for_a_hook_delays_nobody(t):
    """A CONNECT and a PUBLISH whose hooks do not answer hold their own connections; all others go on."""
    host = start(t)
    waiting = t.client('waiting')
    waiting.send(wire.connect(V5, 'waiting', username='stuck'))
    stuck = t.connected('stuck')
    stuck.send(wire.publish(V5, t.topic('stuck'), b'held', 1, 1), wire.pingreq())
    host.wait_log(f'host: publishes .* {t.topic("stuck")}')
    others = [t.connected(f'other{i}') for i in range(8)]
    for i, other in enumerate(others):
        other.subscribe((t.topic(f'{i}'), 1))
        other.publish_to_itself(t.topic(f'{i}'), b'goes on')
    for peer in (waiting, stuck):
        assert not select_readable(peer.sock, 0), f'{peer.name} has got an answer'
    start_release(t, others[0])
    waiting.expect('CONNACK', code=0)
    stuck.expect('PUBACK', packet_id=1)
    stuck.expect('PINGRESP')


@chain_test(V31, V311, V5)
def order_stays_while_hooks_think(t):
    """All QoS, some messages asked about by two hooks on another thread, some at once: they arrive as they were published."""
    start(t)
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.is_quiet = pub.is_quiet = True
    sub.subscribe((t.topic('#'), 2))
    count, wanted = 300, []
    for i in range(count):
        qos, name = i % 3, ('now', 'later', 'veto', 'later/veto')[i % 4]
        wanted += [b'%d' % i] if 'veto' not in name else []
        pub.send(wire.publish(pub.version, t.topic(name), b'%d' % i, qos, i + 1 if qos else None))
    pub.send(wire.publish(pub.version, t.topic('end'), b'end', 0))
    open_ends = {i + 1 for i in range(count) if i % 3}
    while open_ends:
        got = pub.next()
        is_refused = pub.version == V5 and got.kind == 'PUBREC' and got.code >= 0x80
        if got.kind == 'PUBREC' and not is_refused:
            pub.send(wire.ack(pub.version, 'PUBREL', got.packet_id))
        else:
            open_ends.discard(got.packet_id)
            assert pub.version != V5 or got.kind == 'PUBCOMP' or (got.code >= 0x80) == ((got.packet_id - 1) % 4 >= 2), got
    by_qos = {0: [], 1: [], 2: []}
    for got in sub.receive_many(len(wanted) + 1):
        by_qos[got.qos].append(got.payload)
    for qos in range(3):
        expected = [w for w in wanted if int(w) % 3 == qos] + ([b'end'] if qos == 0 else [])
        assert by_qos[qos] == expected, (qos, by_qos[qos], expected)


@chain_test(V311, V5)
def filters_are_questions_of_their_own(t):
    """Refused at once, refused later, allowed at once, allowed later; and the same of UNSUBSCRIBE."""
    start(t)
    c = t.connected('c')
    no = 0x87 if t.version == V5 else 0x80
    names = ('a', 'veto', 'later', 'later/veto', 'b', 'keep')
    c.subscribe(*((t.topic(name), 1) for name in names), codes=[1, no, 1, no, 1, 1])
    c.publish_to_itself(t.topic('later'), b'subscribed')
    got = c.unsubscribe(t.topic('keep'), t.topic('a'), t.topic('veto'))
    if t.version == V5:
        assert list(got.codes) == [0x87, 0, 0x11], got
    c.publish_to_itself(t.topic('keep'), b'still subscribed')
    c.publish(t.topic('a'), b'nobody is there', 1)
    c.fence()


@chain_test(V5)
def topics_of_aliases_are_shown(t):
    """A hook sees the topic that an alias stands for, and what waits for it does not lose the alias."""
    host = start(t)
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('#'), 0))
    pub.send(wire.publish(V5, t.topic('later'), b'1', properties=[('topic_alias', 3)]))
    pub.send(wire.publish(V5, '', b'2', properties=[('topic_alias', 3)]))
    sub.receive(t.topic('later'), b'1')
    sub.receive(t.topic('later'), b'2')
    t.close_peers()
    host.stop()
    assert host.log().count(f'publishes {pub.client_id} {t.topic("later")}') == 2


@chain_test(V311, V5)
def who_has_gone_is_told_and_missed_by_nobody(t):
    """Disconnects and ends of sessions are told; a client that goes while its hook thinks publishes what it has sent, and one
    that is cut off, or taken over, harms nobody."""
    host = start(t)
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    polite = t.connected('polite')
    polite.send(wire.publish(polite.version, t.topic('stuck'), b'last', 1, 1), wire.disconnect(polite.version))
    old = t.connected('old', client_id='same')
    old.send(wire.publish(old.version, t.topic('stuck/old'), b'never', 1, 1), wire.publish(old.version, t.topic('behind'), b'never'))
    connecting = t.client('connecting')
    connecting.send(wire.connect(t.version, 'connecting', username='stuck'))
    host.wait_log(f'host: publishes polite.* {t.topic("stuck")}|host: publishes .*-polite {t.topic("stuck")}')
    host.wait_log(f'host: publishes same {t.topic("stuck/old")}')
    connecting.reset()
    new = t.connected('new', client_id='same')
    start_release(t, new)
    sub.receive(t.topic('stuck'), b'last')
    host.wait_log('host: disconnected .*-polite')
    host.wait_log('host: session ends .*-polite')
    host.wait_log('host: disconnected same')
    new.publish(t.topic('end'), b'end', 1)
    sub.receive(t.topic('end'), b'end')


@chain_test(V5)
def who_does_not_come_in_is_named(t):
    """In the audit log, whom it claimed to be: refused by a hook, or given up while one thinks."""
    path = os.path.join(t.folder, 'audit')
    host = start(t, '--audit-log', path)
    c = t.client('c')
    c.send(wire.connect(V5, 'waits', username='stuck'))
    host.wait_log('waiting for CONNECT -> connecting')
    t.client('m', client_id='m').connect(code=0x8A, username='mallory')
    t.close_peers()
    host.stop()
    with open(path, encoding='utf-8') as lines:
        refused = [event for event in map(json.loads, lines) if event['event'] == 'refused']
    assert [(event['client_id'], event['user'], event['code']) for event in refused] == [
        ('m', 'mallory', '0x8A'), ('waits', 'stuck', '0x88')], refused


@chain_test(V5)
def the_program_publishes_from_inside(t):
    start(t)
    c = t.connected('c')
    c.subscribe(('host/said', 1))
    c.send(wire.publish(V5, 'host/say', b'hello'))
    c.receive('host/said', b'hello')


@chain_test(V5)
def answers_after_the_end_find_nobody(t):
    """The broker stops while hooks think, and they answer when it is freed: the program ends well."""
    host = start(t)
    for i in range(10):
        c = t.connected(f'c{i}')
        c.send(wire.publish(V5, t.topic('stuck'), b'', 1, 1))
        t.client(f'd{i}').send(wire.connect(V5, f'd{i}', username='stuck'))
    for i in range(10):
        host.wait_log(f'host: publishes .*-c{i} ')
    t.close_peers()
    host.stop()
    assert 'host: ended' in host.log()


@chain_test(V5)
def bridges_of_the_broker_are_not_asked(t):
    """They come in where nobody else may, and what they bring is nobody's question."""
    far = t.mosquitto()
    config = os.path.join(t.folder, 'bridges.yaml')
    with open(config, 'w', encoding='utf-8') as lines:
        lines.write(f'bridges:\n  - name: far\n    url: {far.url}\n    topics:\n      - {{filter: "in/#", direction: in, qos: 1}}\n')
    host = start(t, '--config', config, anonymous='false')
    host.wait_log('bridge=far: connected')
    here, there = t.client('here'), t.connected('there', address=far.address)
    here.connect(username='later-alice')
    here.subscribe(('in/#', 1))
    there.publish('in/veto', b'comes in', 1, retain=True)      # the bridge may be about to subscribe
    here.receive('in/veto', b'comes in')
    here.send(wire.publish(V5, 'in/veto', b'does not', 1, 1))
    here.expect('PUBACK', packet_id=1, code=0x87)
    host.wait_log(f'host: publishes {here.client_id} in/veto')
    assert 'host: publishes $bridge' not in host.log()


@chain_test()
def mistakes_are_told_in_words(t):
    """Options that there are not, values that they cannot have, a port that is taken."""
    for options, words in ((('--nonsense', '1'), 'nonsense: unknown option'), (('--workers', 'many'), 'workers'),
                           (('--help', 'true'), 'of the program alone'), (('--config', '/nonexistent'), '/nonexistent')):
        host = t.add(Broker(t.tools.built('broker_host'), *options))
        assert host.wait_exit() == 1 and words in host.log(), host.log()
        t.programs.remove(host)
    first = start(t)
    second = t.add(Broker(t.tools.built('broker_host'), '--store', 'memory', listens=('mqtt://127.0.0.1:%d' % first.port,)))
    assert second.wait_exit() == 1 and 'in use' in second.log(), second.log()
    t.programs.remove(second)
