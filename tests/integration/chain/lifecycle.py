"""From start to end: draining, exit codes, descriptors, signals."""

import os
import resource
import signal
import time

from lib import wire
from lib.case import chain_test
from lib.wire import V31, V311, V5, Will


@chain_test(V31, V311, V5, relay=True)
def sigterm_ends_r_proxy_in_good_order(t):
    """Clients hear 0x8B (3.x: close), exit 0. No DISCONNECT is made up for them: their wills fire, as the standard has it."""
    broker, s_proxy, r_proxy = t.chain()
    watcher = t.connected('watcher', version=V5, address=broker.address)
    watcher.subscribe((t.topic('#'), 1))
    clients = [t.connected(f'c{i}', will=Will(t.topic(f'{i}'), b'', 1)) for i in range(5)]
    r_proxy.signal(signal.SIGTERM)
    for c in clients:
        if t.version == V5:
            c.expect('DISCONNECT', code=0x8B)
        c.expect_closed()
    assert r_proxy.wait_exit() == 0, r_proxy.tail()
    assert sorted(watcher.receive().topic for _ in clients) == [t.topic(f'{i}') for i in range(5)]
    assert s_proxy.is_running()


@chain_test(V31, V311, V5, relay=True)
def sigterm_ends_s_proxy_in_good_order(t):
    """Its sessions end, clients hear 0x8B or are closed, r-proxy lives, exit 0."""
    _, s_proxy, r_proxy = t.chain()
    clients = [t.connected(f'c{i}') for i in range(5)]
    s_proxy.signal(signal.SIGTERM)
    for c in clients:
        if t.version == V5:
            c.expect('DISCONNECT', code=0x8B)
        c.expect_closed()
    assert s_proxy.wait_exit() == 0, s_proxy.tail()
    c = t.client('late')
    c.connect(code=0x88 if t.version == V5 else 3)
    assert r_proxy.is_running()


@chain_test(V311, V5, relay=True)
def exchanges_that_have_begun_are_finished_while_draining(t):
    """QoS 1 and 2 in flight, both ways, when r-proxy is told to end: acknowledgements still pass, then the client is told."""
    broker = t.scripted()
    _, _, r_proxy = t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    up = t.serve(broker)
    c.expect('CONNACK', code=0)
    c.send(wire.publish(t.version, 't', b'one', 1, 1), wire.publish(t.version, 't', b'two', 2, 2))
    up.expect('PUBLISH', payload=b'one')
    up.expect('PUBLISH', payload=b'two')
    up.send(wire.publish(t.version, 't', b'down', 2, 3))
    c.expect('PUBLISH', payload=b'down')
    since = r_proxy.mark()
    r_proxy.signal(signal.SIGTERM)
    r_proxy.wait_log('draining', since)
    up.send(wire.ack(t.version, 'PUBACK', 1), wire.ack(t.version, 'PUBREC', 2))
    c.expect('PUBACK', packet_id=1)
    c.expect('PUBREC', packet_id=2)
    c.send(wire.ack(t.version, 'PUBREL', 2), wire.ack(t.version, 'PUBREC', 3))
    up.expect('PUBREL', packet_id=2)
    up.expect('PUBREC', packet_id=3)
    up.send(wire.ack(t.version, 'PUBREL', 3), wire.ack(t.version, 'PUBCOMP', 2))
    c.expect('PUBREL', packet_id=3)
    c.expect('PUBCOMP', packet_id=2)
    c.send(wire.ack(t.version, 'PUBCOMP', 3))
    if t.version == V5:
        c.expect('DISCONNECT', code=0x8B)
    c.expect_closed()
    up.expect('PUBCOMP', packet_id=3)
    up.expect_closed()
    assert r_proxy.wait_exit() == 0, r_proxy.tail()


@chain_test(V5, relay=True)
def draining_does_not_wait_longer_than_it_may(t):
    """An exchange that never ends: --drain-timeout cuts it off, exit 0 all the same; a second SIGTERM does at once."""
    broker = t.scripted()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'])
    for options, signals in ((('--drain-timeout', '700ms'), 1), (('--drain-timeout', '1h'), 2)):
        r_proxy = t.r_proxy(s_proxy.target, *options)
        c = t.client(f'c{signals}')
        c.send(wire.connect(V5, c.client_id), wire.publish(V5, 't', b'', 2, 1))
        up = t.serve(broker)
        up.expect('PUBLISH')
        c.expect('CONNACK')
        start, since = time.monotonic(), r_proxy.mark()
        for _ in range(signals):
            r_proxy.signal(signal.SIGTERM)
            r_proxy.wait_log('draining|stopping at once', since)
            since = r_proxy.mark()
        assert r_proxy.wait_exit() == 0, r_proxy.tail()
        assert signals == 2 or time.monotonic() - start >= 0.65, 'did not wait at all'


@chain_test()
def nobody_is_accepted_while_draining(t):
    """One client holds the drain open; another is not served, whether it connects or was in the queue."""
    broker = t.scripted()
    _, _, r_proxy = t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id), wire.publish(V5, 't', b'', 1, 1))
    up = t.serve(broker)
    up.expect('PUBLISH')
    c.expect('CONNACK')
    since = r_proxy.mark()
    r_proxy.signal(signal.SIGTERM)
    r_proxy.wait_log('draining', since)
    try:
        late = t.client('late')
        late.send_quietly(wire.connect(V5, 'late'))
        late.expect_end([0x88, 0x89, 0x8B])
    except ConnectionRefusedError:
        pass
    up.send(wire.ack(V5, 'PUBACK', 1))
    c.expect('PUBACK')
    c.expect('DISCONNECT', code=0x8B)
    assert r_proxy.wait_exit() == 0


@chain_test()
def sigint_is_as_good_as_sigterm(t):
    """Ctrl-C ends both programs with 0."""
    _, s_proxy, r_proxy = t.chain()
    t.connected('c')
    for program in (r_proxy, s_proxy):
        program.signal(signal.SIGINT)
        assert program.wait_exit() == 0, program.tail()


@chain_test(V311, V5)
def sighup_drops_nobody(t):
    """Twenty times, while messages flow."""
    _, s_proxy, r_proxy = t.chain()
    c = t.connected('c')
    c.subscribe((t.topic('a'), 1))
    for i in range(20):
        for program in (r_proxy, s_proxy):
            since = program.mark()
            program.signal(signal.SIGHUP)
            c.send(wire.publish(t.version, t.topic('a'), b'%d' % i, 0))
            program.wait_log('SIGHUP', since)
            c.receive(t.topic('a'), b'%d' % i)
    c.fence()


@chain_test()
def sigusr1_shows_all_metrics(t):
    """A line of the log each, and they count what happened."""
    _, s_proxy, r_proxy = t.chain()
    c = t.connected('c')
    for _ in range(3):
        c.publish(t.topic('a'), b'', 1)
    for program, prefix in ((r_proxy, 'rproxy'), (s_proxy, 'sproxy')):
        since = program.mark()
        program.signal(signal.SIGUSR1)
        program.wait_log(rf'metric {prefix}_packets_up_total [3-5]$', since)
        program.wait_log(rf'metric {prefix}_packets_down_total [3-5]$', since)
        program.wait_log(rf'metric {prefix}_sessions_open 1$', since)


@chain_test()
def a_full_descriptor_table_pauses_accepting(t):
    """EMFILE: it is logged, those who are connected go on, and when some leave the next ones are served."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    r_proxy = t.r_proxy(s_proxy.target, limits={resource.RLIMIT_NOFILE: (120, 120)})
    inside = t.connected('inside')
    waiting = []
    since = r_proxy.mark()
    # connections that say nothing; the kernel's queue takes those that are not accepted
    while 'accepting pauses' not in r_proxy.log():
        assert len(waiting) < 400, 'no limit met'
        waiting.append(t.client(f'w{len(waiting)}'))
        inside.fence()
    r_proxy.wait_log('accepting pauses', since)
    inside.fence()
    for c in waiting:
        c.close()
    t.connected('outside').fence()
    inside.fence()


@chain_test(relay=True)
def a_full_descriptor_table_of_s_proxy_harms_no_session(t):
    """EMFILE there, since --max-sessions leaves it no room: new clients are told, those who are connected go on, later ones are
    served again, and no broker is taken for dead."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], '--max-sessions', '1000', limits={resource.RLIMIT_NOFILE: (100, 100)})
    t.r_proxy(s_proxy.target)
    inside = [t.connected('first')]
    while True:
        assert len(inside) < 200, 'no limit met'
        c = t.client(f'c{len(inside)}')
        c.send(wire.connect(V5, c.client_id))
        got = c.expect('CONNACK')
        if got.code:
            assert got.code == 0x97, got
            break
        inside.append(c)
    for c in inside:
        c.fence()
    for c in inside[1:]:
        c.disconnect()
    while True:
        c = t.client('later')
        c.send(wire.connect(V5, c.client_id))
        if c.expect('CONNACK').code == 0:
            break
    inside[0].fence()
    assert s_proxy.metric('sproxy_sessions_without_file_total') > 0
    assert s_proxy.metric('sproxy_broker_failures_total') == 0


@chain_test()
def the_soft_descriptor_limit_is_raised(t):
    """To the hard one, at start."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], limits={resource.RLIMIT_NOFILE: (64, 3000)})
    r_proxy = t.r_proxy(s_proxy.target, limits={resource.RLIMIT_NOFILE: (64, 3000)})
    for program in (s_proxy, r_proxy):
        with open(f'/proc/{program.pid}/limits', encoding='ascii') as limits:
            line = next(line for line in limits if line.startswith('Max open files'))
        assert line.split()[3:5] == ['3000', '3000'], line


@chain_test(relay=True)
def descriptors_and_memory_come_back(t):
    """R16: 600 connects, half of them ended badly; afterwards no descriptor more than before."""
    broker, s_proxy, r_proxy = t.chain()
    for i in range(20):
        t.connected('warm', client_id=f'warm{i}').disconnect()
    t.connected('fence').disconnect()
    before = r_proxy.descriptors(), s_proxy.descriptors()
    for i in range(600):
        c = t.client('c', client_id=f'c{i}')
        if i % 4 == 3:
            c.send_quietly(b'\x10\xff')
            c.reset()
            continue
        c.connect(will=Will(t.topic('will'), b''))
        (c.disconnect, c.reset, c.close)[i % 4]()
    # the last of them may be on their way out: as many broker connections as began must have ended
    since_all = broker.log().count('New client connected')
    while count_ends(broker) < since_all:
        broker.wait_log(r'closed its connection|disconnected', broker.mark())
    t.connected('fence2').disconnect()
    after = r_proxy.descriptors(), s_proxy.descriptors()
    assert after[0] <= before[0] + 2 and after[1] <= before[1] + 2, (before, after)


def count_ends(broker):
    log = broker.log()
    return log.count('closed its connection') + log.count(' disconnected') + log.count('Unknown error')


@chain_test()
def no_process_is_left_behind(t):
    """The programs do not fork: nothing of theirs lives when they have ended."""
    _, s_proxy, r_proxy = t.chain()
    t.connected('c')
    for program in (r_proxy, s_proxy):
        children = f'/proc/{program.pid}/task/{program.pid}/children'
        if os.path.exists(children):
            with open(children, encoding='ascii') as file:
                assert file.read() == ''
        program.stop()
