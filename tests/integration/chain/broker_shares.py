"""Shared subscriptions of mqtt-broker: who gets a message, by every policy, with one worker and with three; what becomes of it when
its member goes."""

import os
import random
import threading
import time
from collections import Counter

from lib import wire
from lib.case import chain_test
from lib.peer import PATIENCE
from lib.wire import V5

POLICIES = ('round-robin', 'least-inflight', 'sticky', 'hash-client', 'hash-topic')
WORKERS = (1, 3)
MEMBERS = 6             # so that three workers have some


class Group:
    """Members of one shared subscription, and who publishes to it. What a member has not acknowledged stands in `open`."""

    def __init__(self, t, name, count=MEMBERS, qos=1, lasting=True, window=65535):
        self.t, self.name, self.topic, self.qos = t, name, t.topic(name), qos
        self.options = {'clean': not lasting, 'properties': [('session_expiry', 1000 * lasting), ('receive_maximum', window)]}
        self.members = [self.connected(f'{name}-m{i}') for i in range(count)]
        self.pub = t.connected(f'{name}-pub')
        self.everywhere = [t.connected(f'{name}-{i}') for i in range(8)]        # at every worker
        self.settled = 0
        for member in self.members:
            member.subscribe((f'$share/{name}/{self.topic}', qos))

    def connected(self, name):
        member = self.t.connected(name, **self.options)
        member.is_quiet = True
        return member

    def publish(self, *payloads, qos=None, publisher=None):
        for payload in payloads:
            (publisher or self.pub).publish(self.topic, payload, self.qos if qos is None else qos)

    def take(self, count, is_acknowledged=True):
        """The next COUNT messages, whoever gets them: (member, message) pairs."""
        found = []
        while len(found) < count:
            found += self.poll(is_acknowledged)
        self.assert_nothing_more()
        assert len(found) == count, found
        return found

    def poll(self, is_acknowledged):
        found = []
        for at, member in enumerate(self.members):
            if member is None:
                continue
            while member.decoder.pending or member.poll_readable(0.002):
                got = member.expect('PUBLISH')
                if is_acknowledged:
                    member.acknowledge(got)
                found.append((at, got))
        return found

    def assert_nothing_more(self):
        for member in self.members:
            if member is not None:
                member.fence()

    def leave(self, *members):
        """They are gone, and every worker knows."""
        for at in members:
            self.members[at].close()
            self.members[at] = None
        self.settle()

    def come_back(self, *members):
        for at in members:
            self.members[at] = self.connected(f'{self.name}-m{at}')
        self.settle()

    def settle(self):
        """SUBACK comes when all other workers have heard what this one has told them so far."""
        self.settled += 1
        for client in self.everywhere:
            client.subscribe((f'{client.client_id}/{self.settled}', 0))


def brokers(t, *options, policies=POLICIES):
    """One broker after another: each policy, with one worker and with three."""
    for policy in policies:
        for workers in WORKERS:
            broker = t.broker('--shared-policy', policy, '--workers', str(workers), *options)
            t.address = broker.address
            yield f'{policy}-{workers}'
            t.close_peers()
            broker.stop()


def counts(found):
    return Counter(at for at, _ in found)


@chain_test(V5)
def nobody_who_cannot_is_chosen_while_another_can(t):
    """Whatever the policy: not a member that is away, not one whose window is full."""
    for name in brokers(t):
        group = Group(t, name, window=1)
        group.leave(1, 2, 4)
        group.publish(b'1', b'2', b'3')
        found = group.take(3, is_acknowledged=False)
        assert counts(found) == {0: 1, 3: 1, 5: 1}, (name, found)
        group.publish(b'4')                     # all are full: it waits at one of them
        for at, got in found:
            group.members[at].acknowledge(got)
        assert [got.payload for _, got in group.take(1)] == [b'4'], name


@chain_test(V5)
def what_a_member_had_goes_to_another_when_its_connection_ends(t):
    """QoS 1 that it has not acknowledged, and what waited for its window; QoS 2 that was sent stays, and it finds that and nothing
    else when it comes back. With a store too."""
    for store in ('memory', 'lmdb:' + os.path.join(t.folder, 'store')):
        for name in brokers(t, '--store', store, policies=('round-robin', 'sticky')):
            group = Group(t, name + store[:4], count=3, qos=2, window=2)
            group.leave(1, 2)
            group.publish(b'one', qos=1)
            group.publish(b'two', qos=2)
            group.publish(b'waits', qos=1)
            group.publish(b'waits too', qos=2)
            kept = [got for _, got in group.take(2, is_acknowledged=False)]
            assert [got.payload for got in kept] == [b'one', b'two'], kept
            group.come_back(1)
            group.leave(0)
            found = group.take(3)
            assert counts(found) == {1: 3}, (name, found)
            assert sorted((got.payload, got.qos, got.dup) for _, got in found) == [
                (b'one', 1, 0), (b'waits', 1, 0), (b'waits too', 2, 0)], found
            group.come_back(0)
            back = group.members[0]
            assert back.connack.session_present == 1
            back.receive(group.topic, b'two', packet_id=kept[1].packet_id, dup=1)
            back.fence()


@chain_test(V5)
def nobody_else_is_there_so_it_stays(t):
    """The only member, and the last that goes, find what they had when they come back."""
    for name in brokers(t, policies=('round-robin',)):
        group = Group(t, name, count=2)
        group.leave(1)
        group.publish(b'kept')
        group.take(1, is_acknowledged=False)
        group.leave(0)
        group.publish(b'later')
        group.come_back(0, 1)
        assert sorted(got.payload for _, got in group.take(2)) == [b'kept', b'later']


@chain_test(V5)
def the_end_of_a_session_hands_over_too(t):
    """A member that ends its session with DISCONNECT, or has one only while it is connected."""
    for name in brokers(t, policies=('round-robin',)):
        for end in ('disconnect', 'lost'):
            group = Group(t, f'{name}-{end}', count=2, lasting=False)
            group.publish(*(b'%d' % i for i in range(4)))
            found = group.take(4, is_acknowledged=False)
            assert counts(found) == {0: 2, 1: 2}, found
            if end == 'lost':
                group.leave(0)
            else:
                group.members[0].disconnect()
                group.members[0] = None
            again = group.take(2)
            assert {(at, got.payload) for at, got in again} == {(1, got.payload) for at, got in found if at == 0}, (found, again)


@chain_test(V5)
def a_refused_message_is_gone(t):
    """PUBACK and PUBREC of 0x80 and above: nobody else gets it, not even when its member goes."""
    for name in brokers(t, policies=('least-inflight',)):
        for qos, kind in ((1, 'PUBACK'), (2, 'PUBREC')):
            group = Group(t, f'{name}-{qos}', qos=qos)
            group.publish(b'bad')
            (at, got), = group.take(1, is_acknowledged=False)
            group.members[at].send(wire.ack(V5, kind, got.packet_id, 0x80))
            group.members[at].fence()
            group.leave(at)
            group.publish(b'good')
            assert [got.payload for _, got in group.take(1)] == [b'good']


@chain_test(V5)
def round_robin(t):
    """Each of the members gets as many as any other, in turn."""
    for name in brokers(t, policies=('round-robin',)):
        group = Group(t, name)
        group.publish(*(b'%d' % i for i in range(4 * MEMBERS)))
        found = group.take(4 * MEMBERS)
        assert counts(found) == {at: 4 for at in range(MEMBERS)}, (name, counts(found))


@chain_test(V5)
def least_in_flight(t):
    """Who does not acknowledge gets few more, at whatever worker it is; and its share again when it has."""
    for name in brokers(t, policies=('least-inflight',)):
        group = Group(t, name, count=3)
        slow, open_messages = group.members[0], []
        for i in range(60):
            group.publish(b'%d' % i)
            found = []
            while not found:
                for at, member in enumerate(group.members):
                    if member.poll_readable(0.001):
                        got = member.expect('PUBLISH')
                        found.append(got)
                        if at == 0:
                            open_messages.append(got)
                        else:
                            member.acknowledge(got)
        assert len(open_messages) <= 10, (name, len(open_messages))
        for got in open_messages:
            slow.acknowledge(got)
        slow.fence()
        total = Counter()
        while total[0] < 2:
            group.publish(*(b'%d' % i for i in range(6)))
            total += counts(group.take(6))
            assert sum(total.values()) < 100, (name, total)


@chain_test(V5)
def sticky(t):
    """All go to one member, from whatever publisher; when it goes, to another one, who keeps them when the first is back."""
    for name in brokers(t, policies=('sticky',)):
        group = Group(t, name)
        publishers = [t.connected(f'{name}-other{i}') for i in range(4)]
        before = set()
        for _ in range(2):
            for publisher in publishers:
                group.publish(b'x', b'y', publisher=publisher)
            found = set(counts(group.take(8)))
            assert len(found) == 1 and not found & before, (name, found, before)
            before |= found
            first, = found
            group.leave(first)
            group.publish(b'z')
            (second, _), = group.take(1)
            group.come_back(first)
            group.publish(b'z')
            assert set(counts(group.take(1))) == {second}, name


@chain_test(V5)
def hashes(t):
    """Of the topic, or of who publishes: the same one gets them all; others get others."""
    for name in brokers(t, policies=('hash-topic', 'hash-client')):
        is_topic = name.startswith('hash-topic')
        group = Group(t, name, count=0)
        group.members = [group.connected(f'{name}-m{i}') for i in range(MEMBERS)]
        for member in group.members:
            member.subscribe((f'$share/{name}/{t.topic(name)}/+', 1))
        publishers = [t.connected(f'{name}-pub{i}') for i in range(16)]
        chosen = {}
        for _ in range(2):
            for at in range(16):
                for publisher in publishers[:2] if is_topic else (publishers[at],):
                    publisher.publish(f'{t.topic(name)}/{at if is_topic else 0}', b'x', 1)
                    (member, _), = group.take(1)
                    assert chosen.setdefault(at, member) == member, (name, at, chosen)
        assert len(set(chosen.values())) > 1, (name, chosen)


@chain_test(V5)
def what_is_handed_over_survives_kills(t):
    """A member goes and the broker is killed while its messages move to others, which are at other workers too: none is lost."""
    options = ('--store', 'lmdb:' + os.path.join(t.folder, 'store'), '--workers', '3')
    broker = t.broker(*options)
    t.address = broker.address
    seed = time.time_ns()
    source = random.Random(seed)
    group = Group(t, 'kills', count=3)
    for turn in range(6):
        sent = {b'%d-%d' % (turn, i) for i in range(30)}
        group.publish(*sent)
        group.take(30, is_acknowledged=False)
        group.members[turn % 3].close()
        threading.Event().wait(source.random() * 0.01)      # anywhere in the move
        broker.kill()
        broker = t.broker(*options, listens=('mqtt://{}:{}'.format(*broker.address),))
        group.members = [group.connected(f'kills-m{i}') for i in range(3)]
        group.pub, found = t.connected('kills-pub'), set()
        deadline = time.monotonic() + PATIENCE
        while found != sent:
            found |= {got.payload for _, got in group.poll(True)}
            assert found <= sent and time.monotonic() < deadline, f'seed {seed}, turn {turn}: {sorted(sent - found)}, {sorted(found - sent)}'
        group.assert_nothing_more()


@chain_test(V5)
def who_is_back_at_once_doubles_nothing(t):
    """Members that are taken over by themselves while what waited for them moves: each QoS 2 message has one member."""
    t.address = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), '--workers', '3').address
    group = Group(t, 'back', count=3, qos=2, window=2)
    payloads = [b'%d' % i for i in range(24)]
    group.publish(*payloads)
    firsts = Counter(got.payload for _, got in group.take(6, is_acknowledged=False))
    for at in (0, 1, 2, 0, 1, 2):
        group.members[at] = group.connected(f'back-m{at}')
    done = set()

    def take(member, got):
        if got.kind == 'PUBLISH':
            firsts[got.payload] += not got.dup
            done.add(got.payload)
        member.send(wire.ack(V5, 'PUBREC' if got.kind == 'PUBLISH' else 'PUBCOMP', got.packet_id))

    deadline = time.monotonic() + PATIENCE
    while len(done) < len(payloads):
        for member in group.members:
            while member.decoder.pending or member.poll_readable(0.002):
                take(member, member.next())
        assert time.monotonic() < deadline, sorted(set(payloads) - done)
    for member in group.members:
        member.send(wire.pingreq())
        while (got := member.next()).kind != 'PINGRESP':
            take(member, got)
    assert firsts == Counter(payloads), firsts - Counter(payloads)
