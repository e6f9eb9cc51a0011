"""What mqtt-broker keeps through its own end: sessions, messages, retained messages, wills."""

import errno
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import threading
import time

from lib import wire
from lib.case import Skip, chain_test
from lib.peer import PATIENCE
from lib.programs import ENVIRONMENT, Program, free_port
from lib.persistent import check, start_pairs, wait_for_progress
from lib.swarm import Swarm
from lib.wire import V31, V311, V5

PAIRS = 6


def start(t, *options, listens=('mqtt://127.0.0.1:0',), env=None):
    """Our broker with a store of its own that outlives it."""
    workers = () if '--workers' in options else ('--workers', '2')
    broker = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), *workers, *options, listens=listens, env=env)
    t.address = broker.address
    return broker


def again(t, broker, *options, env=None):
    return start(t, *options, listens=('mqtt://{}:{}'.format(*broker.address),), env=env)


def kill_again_and_again(t, kills, *options):
    broker = start(t, *options)
    stop = threading.Event()
    pairs, threads = start_pairs(t, PAIRS, stop)
    seed = time.time_ns()
    source = random.Random(seed)
    for _ in range(kills):
        wait_for_progress(pairs)
        threading.Event().wait(source.random() * 0.02)      # anywhere in an exchange
        broker.kill()
        broker = again(t, broker, *options)
    stop.set()
    for thread in threads:
        thread.join(4 * PATIENCE)
        assert not thread.is_alive(), f'seed {seed}: a client never got to its end'
    for publisher, subscriber in pairs:
        check(publisher.count, subscriber.received, f'seed {seed}, {kills} kills, {publisher.name}')


@chain_test(V311, V5)
def what_was_acknowledged_survives_kills(t):
    """kill -9 at any moment, again and again: every QoS 1 message arrives, every QoS 2 message exactly once, in order."""
    kill_again_and_again(t, 8)


@chain_test(V5, only_all=True, is_long=True)
def what_was_acknowledged_survives_two_hundred_kills(t):
    """The same, 200 times."""
    kill_again_and_again(t, 200)


@chain_test(V5)
def what_the_kernel_has_survives_kills(t):
    """--durability async: the program may be killed as well, only a loss of power may cost something."""
    kill_again_and_again(t, 4, '--durability', 'async')


def swarm_with_receivers_everywhere(t, broker):
    """Every topic has several receivers, at any of the workers: there, away, and in shared subscriptions of both."""
    swarm = Swarm(t, 4, broker.address)
    for i in range(4):
        swarm.add_reader(f'there{i}', (i, (i + 1) % 4))
        swarm.add_reader(f'away{i}', (i,), is_absent=True)
        swarm.add_reader(f'member{i}', range(4), group='mixed', is_absent=i == 3)
    swarm.add_reader('idle', (0, 1), group='idle', is_absent=True)
    swarm.add_reader('idle too', (0, 1), group='idle', is_absent=True)
    return swarm


def kill_a_swarm(t, kills, workers, release=False, power=None):
    options = ('--workers', str(workers), '--max-queued-messages', '0', '--max-queued-bytes', '0')
    env = power.watch() if power else None
    broker = start(t, *options, env=env)
    swarm = swarm_with_receivers_everywhere(t, broker)
    seed = time.time_ns()
    source = random.Random(seed)
    for _ in range(kills):
        wanted = swarm.acknowledged() + source.randrange(2000 if release else 400)
        swarm.run(lambda wanted=wanted: swarm.acknowledged() >= wanted)
        broker.kill()
        swarm.drop_all()
        if power:
            power.lose()
            env = power.watch()
        broker = again(t, broker, *options, env=env)
    rate = swarm.acknowledged() / swarm.seconds
    swarm.end()
    swarm.check(f'seed {seed}, {kills} kills')
    assert not release or rate >= 5000, f'{rate:.0f} messages a second'


@chain_test()
def receivers_at_several_workers_survive_kills(t):
    """Shared subscriptions that hand messages on, QoS 2 to several workers: nothing is lost, no QoS 2 message comes twice."""
    kill_a_swarm(t, 8, 3)


@chain_test(release=True, only_all=True, is_long=True)
def receivers_at_several_workers_survive_two_hundred_kills(t):
    """The same 200 times, at 5,000 acknowledged messages a second and more."""
    kill_a_swarm(t, 200, 3, release=True)


@chain_test(V31, V311, V5)
def absent_clients_find_everything_after_a_kill(t):
    """Subscriptions, queued messages with their properties, retained messages."""
    broker = start(t)
    expiry = [('session_expiry', 1000)] if t.version == V5 else []
    sub = t.connected('sub', clean=False, properties=expiry)
    sub.subscribe((t.topic('#'), 2))
    sub.disconnect()
    pub = t.connected('pub')
    properties = [('content_type', 'text'), ('user_property', ('k', 'v'))] if t.version == V5 else []
    for qos in (1, 2):
        pub.publish(t.topic(f'{qos}'), b'queued %d' % qos, qos, properties=properties)
    pub.publish(t.topic('kept'), b'retained', 1, retain=True)
    pub.publish(t.topic('gone'), b'for a while', 1, retain=True)
    pub.publish(t.topic('gone'), b'', 1, retain=True)
    broker.kill()
    again(t, broker)
    sub = t.client('sub')
    sub.connect(present=t.version != V31 or None, clean=False, properties=expiry)
    got = sub.receive_many(count=5)
    assert [(m.topic, m.payload) for m in got] == [(t.topic(topic), payload) for topic, payload in (
        ('1', b'queued 1'), ('2', b'queued 2'), ('kept', b'retained'), ('gone', b'for a while'), ('gone', b''))], got
    assert t.version != V5 or got[1].prop('content_type') == 'text', got
    late = t.connected('late')
    late.subscribe((t.topic('#'), 0))
    late.receive(t.topic('kept'), b'retained', retain=True)
    late.fence()


AWAY, EACH, STAY = 12, 150, 16       # sessions, messages for each, those of them that stay in memory


def come_back_from_disk(t, workers):
    """Clients that are away, each with messages of its own: on the disk alone, the same after a kill, then all in order. One comes
    in between for a part, another is killed with the broker in the middle."""
    options = '--workers', str(workers)
    broker = start(t, *options)
    forever = {'clean': False, 'properties': [('session_expiry', 1000), ('receive_maximum', 20)]}
    for i in range(AWAY):
        away = t.connected(f'away{i}', **forever)
        away.subscribe((t.topic(f'{i}/#'), 2))
        away.disconnect()
    pub = t.connected('pub')
    pub.is_quiet = True
    for n in range(EACH):
        for i in range(AWAY - 1):
            pub.send(wire.publish(V5, t.topic(f'{i}/x'), b'%04d' % n + b'x' * (n % 7 * 100), 1, i + 1))
        assert all(pub.next().code == 0 for _ in range(AWAY - 1))
        pub.publish(t.topic(f'{AWAY - 1}/x'), b'%04d' % n, 2)
    broker.wait_metric('broker_messages_paged_out', AWAY * (EACH - STAY))
    broker.kill()
    broker = again(t, broker, *options)
    broker.wait_metric('broker_messages_paged_out', AWAY * (EACH - STAY))
    part = t.client('away0')
    part.is_quiet = True
    part.connect(present=True, **forever)
    assert [int(m.payload[:4]) for m in part.receive_many(70)] == list(range(70))
    part.close()
    for i in (1, 2):
        half = t.client(f'away{i}')
        half.connect(present=True, **forever)
    broker.kill()
    broker = again(t, broker, *options)
    for i in range(AWAY):
        away = t.client(f'away{i}')
        away.is_quiet = True
        away.connect(present=True, **forever)
        last = b'%04d' % (EACH - 1) + (b'' if i == AWAY - 1 else b'x' * ((EACH - 1) % 7 * 100))
        numbers = [int(m.payload[:4]) for m in away.receive_many(last=last)]
        first = numbers[0] if i == 0 else 0             # what the kill left of its acknowledgements
        assert first <= 70 and numbers == list(range(first, EACH)), (i, numbers)
        away.fence()
    broker.wait_metric('broker_messages_paged_out', 0)


@chain_test(V5)
def what_waits_for_absent_clients_is_on_the_disk_alone(t):
    """One worker: it leaves memory, and comes back in order, after kills too."""
    come_back_from_disk(t, 1)


@chain_test(V5)
def it_is_on_the_disk_alone_with_several_workers(t):
    """Likewise with three: after a restart they share segments."""
    come_back_from_disk(t, 3)


@chain_test(V5)
def a_session_that_expired_while_nobody_ran_is_gone(t):
    """Expiry goes on while the broker does not run; a session without expiry stays."""
    broker = start(t, '--workers', '1')
    for name, expiry in (('short', 1), ('long', 0xFFFFFFFF)):
        c = t.connected(name, clean=False, properties=[('session_expiry', expiry)])
        c.disconnect()
    # nothing says that the end of a connection is with the disk, but for what the same worker writes behind it
    t.connected('last', clean=False, properties=[('session_expiry', 0xFFFFFFFF)])
    broker.kill()
    deadline = time.monotonic() + 1.1
    while time.monotonic() < deadline:
        threading.Event().wait(0.05)        # the time itself is what the session ends by
    again(t, broker)
    t.client('short').connect(present=False, clean=False)
    t.client('long').connect(present=True, clean=False)


@chain_test(V5)
def the_will_of_a_client_that_was_there_is_sent_after_a_kill(t):
    """Its connection ended with the broker: the Will is published by the next one, after its delay."""
    broker = start(t)
    sub = t.connected('sub', clean=False, properties=[('session_expiry', 1000)])
    sub.subscribe((t.topic('will'), 1))
    will = wire.Will(t.topic('will'), b'lost', 1, properties=[('will_delay', 1)])
    t.connected('c', clean=False, will=will, properties=[('session_expiry', 1000)])
    broker.kill()
    again(t, broker)
    sub = t.client('sub')
    sub.connect(clean=False, properties=[('session_expiry', 1000)])
    sub.receive(t.topic('will'), b'lost')


@chain_test()
def a_second_broker_is_kept_out(t):
    """Two programs on one store would destroy it."""
    start(t)
    second = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), ready=False)
    assert second.wait_exit() == 1
    assert 'store lmdb:' in second.log(), second.log()
    t.programs.remove(second)


@chain_test(V5)
def the_store_has_a_place_of_its_own(t):
    """Without --store: below the state folder of systemd or of the user, by port; port 0 keeps nothing."""
    home = os.path.join(t.folder, 'home')
    os.mkdir(home)
    environment = {'HOME': home, 'XDG_STATE_HOME': home, 'STATE_DIRECTORY': ''}
    given = os.path.join(home, 'given')
    t.broker(env={**environment, 'STATE_DIRECTORY': given}).wait_log(f'store lmdb:{given}$')
    t.broker(env=environment).wait_log('store memory$')
    port = free_port()
    t.broker(listens=(f'mqtt://127.0.0.1:{port}',), env=environment).wait_log(f'store lmdb:{home}/mqtt-broker/{port}$')


class Power:
    """The store of a broker loses what it has not synced: tests/support/power_loss.h."""

    def __init__(self, t):
        self.t, self.store = t, os.path.join(t.folder, 'store')
        self.disk, self.losses = os.path.join(t.folder, 'disk'), 0
        os.mkdir(self.store, 0o700)

    def watch(self):
        """The environment of a broker that will lose it. What is there has reached the disk."""
        os.mkdir(self.disk)
        with open(os.path.join(self.disk, 'names'), 'w', encoding='ascii') as names:
            for entry in os.scandir(self.store):
                shutil.copy(entry.path, os.path.join(self.disk, f'synced-{entry.inode()}'))
                names.write(f'{entry.inode()} {entry.name}\n')
        return {'LD_PRELOAD': self.t.tools.built('power_loss.so'), 'POWER_LOSS_DIR': self.store, 'POWER_LOSS_DISK': self.disk,
                'ASAN_OPTIONS': ENVIRONMENT['ASAN_OPTIONS'] + ':verify_asan_link_order=0'}

    def lose(self):
        """It has been killed: what is there now is what the disk has."""
        self.losses += 1
        os.rename(self.store, f'{self.store}-{self.losses}')
        os.mkdir(self.store, 0o700)
        with open(os.path.join(self.disk, 'names'), encoding='ascii') as names:
            for inode, name in map(str.split, names):
                image = os.path.join(self.disk, f'synced-{inode}')
                if os.path.exists(image):
                    shutil.copy(image, os.path.join(self.store, name))
                    os.chmod(os.path.join(self.store, name), 0o600)
        shutil.rmtree(self.disk)


@chain_test()
def what_was_acknowledged_survives_losses_of_power(t):
    """--durability sync: what the disk has confirmed is enough."""
    kill_a_swarm(t, 4, 3, power=Power(t))


def load_store(t, dump):
    """A store as text becomes what it was."""
    folder = os.path.join(t.folder, 'store')
    os.mkdir(folder, 0o700)
    path = os.path.join(os.path.dirname(wire.__file__), dump)
    subprocess.run(['mdb_load', '-f', path, folder], check=True, capture_output=True)


@chain_test(V5)
def a_store_of_version_1_is_upgraded(t):
    """lib/store_version_1.dump, made by make_old_store: two lives of three workers each, both killed."""
    load_store(t, 'store_version_1.dump')
    broker = start(t, '--workers', '2')
    assert 'upgraded from format 1 to 2' in broker.log(), broker.log()
    forever = [('session_expiry', 0xFFFFFFFF)]
    for i in range(6):
        sub = t.client(f'sub{i}')
        sub.client_id = f'sub{i}'
        sub.connect(present=True, clean=False, properties=forever)
        wanted = []
        for life in (1, 2):
            wanted += [b'life %d QoS %d' % (life, qos) for qos in (1, 2)] + [b'released later %d' % life] * (i == 0)
        got = sub.receive_many(len(wanted))
        assert [message.payload for message in got] == wanted, got
        assert all(message.prop('subscription_id') == [i + 1] for message in got), got
        sub.fence()
    pub = t.client('pub')
    pub.client_id = 'pub'
    pub.connect(present=True, clean=False, properties=forever)
    for packet_id in (1001, 1002):                  # their PUBREC was sent by the older version
        pub.send(wire.ack(V5, 'PUBREL', packet_id))
        pub.expect('PUBCOMP', packet_id=packet_id, code=0)
    pub.send(wire.subscribe(V5, 1, [('retained/#', 0)]))
    got = [pub.next() for _ in range(3)]            # in any order: they are at several workers
    assert sorted((packet.kind, packet.payload) for packet in got if packet.kind == 'PUBLISH') == [('PUBLISH', b'life 2')] * 2, got
    broker.kill()
    assert 'upgraded' not in again(t, broker, '--workers', '3').log()


def damage(t, page, offset):
    """Turn the bits of one byte of the store's file round."""
    with open(os.path.join(t.folder, 'store', 'data.mdb'), 'r+b') as f:
        f.seek(page * 4096 + offset)
        byte = f.read(1)
        f.seek(page * 4096 + offset)
        f.write(bytes((byte[0] ^ 255,)))


@chain_test(V5)
def a_damaged_store_is_refused_and_repaired(t):
    """What is wrong and where; --repair goes on with what can be read, and keeps what was there."""
    broker = start(t)
    pub = t.connected('pub')
    for i in range(200):
        pub.publish(t.topic(f'{i:03}'), b'x' * 500, 1, retain=True)
    broker.stop()
    url = 'lmdb:' + os.path.join(t.folder, 'store')
    with open(os.path.join(t.folder, 'store', 'data.mdb'), 'rb') as f:
        found = f.read().rindex(b'x' * 500)         # in a page that holds messages
    damage(t, found // 4096, 12)                    # its header: where its free space begins
    refused = t.broker('--store', url, ready=False)
    assert refused.wait_exit() == 1
    assert f'page {found // 4096}' in refused.log() and '--repair' in refused.log(), refused.log()
    t.programs.remove(refused)
    broker = again(t, broker, '--repair')
    assert 'repaired: ' in broker.log(), broker.log()
    late = t.connected('late')
    late.subscribe((t.topic('#'), 0))
    got = late.receive_many(150)
    assert all(message.payload == b'x' * 500 for message in got)


HOLD = 'import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); print("mounted", flush=True); signal.sigwait([15])'


class SmallDisk:
    """A file system of its own with SIZE, in a name space that lasts as long as the test. Programs come into it by `wrapper`."""

    def __init__(self, t, size):
        folder = os.path.join(t.folder, 'disk')
        os.mkdir(folder)
        mount = f'mount -t tmpfs -o size={size} tmpfs {folder} && mkdir -m 700 {folder}/store && exec {sys.executable} -c "$0"'
        holder = t.add(Program('disk', ['unshare', '-rm', 'sh', '-c', mount, HOLD]))
        try:
            holder.wait_log('mounted')
        except AssertionError:
            t.programs.remove(holder)
            raise Skip('no file system may be mounted here') from None
        self.wrapper = ('nsenter', f'--target={holder.pid}', '--user', '--mount', '--preserve-credentials')
        self.path, self.t = f'/proc/{holder.pid}/root{folder}', t
        self.options = ('--store', f'lmdb:{folder}/store', '--workers', '2', '--max-queued-messages', '0', '--max-queued-bytes', '0')

    def broker(self, listen='mqtt://127.0.0.1:0'):
        broker = self.t.broker(*self.options, listens=(listen,), wrapper=self.wrapper)
        self.t.address = broker.address
        return broker

    def fill(self):
        """Nothing is left but what the store has taken already."""
        with open(os.path.join(self.path, 'ballast'), 'wb', buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError as e:
                assert e.errno == errno.ENOSPC, e

    def free(self):
        os.remove(os.path.join(self.path, 'ballast'))


def publish_until_full(pub, topic, broker):
    """The payloads that were acknowledged; one more has been sent and waits."""
    acknowledged = []
    while True:
        payload = b'%04d' % len(acknowledged) + b'x' * 50000
        packet_id = pub.new_id()
        pub.send(wire.publish(pub.version, topic, payload, 1, packet_id))
        while not select.select([pub.sock], [], [], 0.02)[0]:
            if 'it is full' in broker.log():
                return acknowledged, payload, packet_id
        pub.expect('PUBACK', packet_id=packet_id)
        acknowledged.append(payload)


@chain_test(V311, V5)
def a_full_disk_loses_nothing(t):
    """5.0: Quota exceeded; 3.1.1: no answer until there is room. QoS 0 goes on. Then all goes on, and a kill loses nothing."""
    disk = SmallDisk(t, '12m')
    broker = disk.broker()
    expiry = {'properties': [('session_expiry', 1000)]} if t.version == V5 else {}
    sub = t.connected('sub', clean=False, **expiry)
    sub.subscribe((t.topic('kept'), 1))
    sub.disconnect()
    live = t.connected('live')
    live.subscribe((t.topic('live'), 0))
    pub, other, third = (t.connected(name) for name in ('pub', 'other', 'third'))
    pub.is_quiet = True
    disk.fill()
    wanted, waiting, waiting_id = publish_until_full(pub, t.topic('kept'), broker)
    assert len(wanted) > 5
    other.send(wire.publish(t.version, t.topic('kept'), b'other', 1, 77))
    if t.version == V5:
        other.expect('PUBACK', packet_id=77, code=0x97)
    third.publish(t.topic('live'), b'QoS 0')
    live.receive(t.topic('live'), b'QoS 0')
    for client in (pub, other):
        assert not select.select([client.sock], [], [], 0)[0], 'an answer'
    disk.free()
    pub.expect('PUBACK', packet_id=waiting_id)
    wanted.append(waiting)
    if t.version == V311:
        other.expect('PUBACK', packet_id=77)
        wanted.append(b'other')
    broker.wait_log('takes changes again')
    broker.kill()
    disk.broker('mqtt://{}:{}'.format(*broker.address))
    sub = t.client('sub')
    sub.is_quiet = True
    sub.connect(present=True, clean=False, **expiry)
    assert [message.payload for message in sub.receive_many(len(wanted))] == wanted


@chain_test(V5)
def a_full_disk_gets_room_by_what_is_acknowledged(t):
    """Nobody frees space: subscribers that take what waits for them do."""
    disk = SmallDisk(t, '12m')
    broker = disk.broker()
    sub = t.connected('sub', clean=False, properties=[('session_expiry', 1000)])
    sub.subscribe((t.topic('kept'), 1))
    pub = t.connected('pub')
    pub.is_quiet = sub.is_quiet = True
    disk.fill()
    wanted, waiting, waiting_id = publish_until_full(pub, t.topic('kept'), broker)
    got = sub.receive_many(len(wanted) + 1)             # acknowledged now, not before
    assert [message.payload for message in got] == wanted + [waiting]
    pub.expect('PUBACK', packet_id=waiting_id)
    for i in range(20):
        pub.publish(t.topic('kept'), b'%d' % i + b'y' * 50000, 1)
        sub.receive(t.topic('kept'))


def used_bytes(broker):
    """Of the store."""
    mark = broker.mark()
    broker.signal(signal.SIGUSR1)
    return int(broker.wait_log(r'broker_store_used_bytes[ =](\d+)', since=mark).group(1))


@chain_test(V5)
def an_old_message_does_not_keep_the_others(t):
    """One in a hundred waits for a client that is away, the others are taken: the store shrinks to what is due."""
    broker = start(t, '--workers', '1')
    forever = {'clean': False, 'properties': [('session_expiry', 1000)]}
    away = t.connected('away', **forever)
    away.subscribe((t.topic('away'), 1))
    away.disconnect()
    sub = t.connected('sub', **forever)
    sub.subscribe((t.topic('taken'), 1))
    pub = t.connected('pub')
    pub.is_quiet = sub.is_quiet = True
    for i in range(3000):
        topic = 'away' if i % 100 == 50 else 'taken'
        pub.send(wire.publish(V5, t.topic(topic), b'%04d' % i + b'x' * 1000, 1, i % 900 + 1))
        if i % 900 == 899:
            assert all(pub.next().code == 0 for _ in range(900))
    assert all(pub.next().code == 0 for _ in range(300))
    full = used_bytes(broker)
    assert full > 3000000, full
    sub.receive_many(2970)
    deadline = time.monotonic() + PATIENCE
    while used_bytes(broker) > 300000:
        assert time.monotonic() < deadline, f'{used_bytes(broker)} of {full} bytes are still in use'
        threading.Event().wait(0.1)
    broker.kill()
    again(t, broker, '--workers', '1')
    away = t.client('away')
    away.is_quiet = True
    away.connect(present=True, **forever)
    got = [int(message.payload[:4]) for message in away.receive_many(30)]
    assert got == list(range(50, 3000, 100)), got
