"""mqtt-broker --audit-log: who came, from where, what became of it, what was refused."""

import json
import os
import signal

from lib import wire
from lib.case import chain_test
from lib.programs import Broker, run_command
from lib.wire import V5, V31, V311

USERS = (('alice', 'secret'), ('bob', 'hidden'))


class Audited:
    """A broker with users and rules whose audit log is read."""

    def __init__(self, t, *options):
        self.path = os.path.join(t.folder, 'audit')
        passwords, acl = os.path.join(t.folder, 'passwords'), os.path.join(t.folder, 'acl')
        for user, password in USERS:
            create = [] if os.path.exists(passwords) else ['-c']
            code, _, error = run_command(['mosquitto_passwd', '-b', *create, passwords, user, password])
            assert code == 0, error
        with open(acl, 'w', encoding='utf-8') as lines:
            lines.write('topic deny secret/#\ntopic readwrite #\n')
        self.broker = t.add(Broker(t.binary('broker/mqtt-broker'), '--audit-log', self.path, '--password-file', passwords,
                                   '--acl-file', acl, '--workers', '2', *options)).wait_ready()
        t.address = self.broker.address

    def end(self):
        """All that it has written, once it has ended well."""
        self.broker.stop()
        return self.read(self.path)

    @staticmethod
    def read(path):
        with open(path, encoding='utf-8') as lines:
            return [json.loads(line) for line in lines]


def without(event, *names):
    return {name: value for name, value in event.items() if name not in names}


@chain_test(V31, V311, V5)
def a_client_from_its_connect_to_its_end(t):
    """Each event once, with time, client id, user and address; no password anywhere."""
    audited = Audited(t)
    c = t.client('c')
    c.connect(username='alice', password=b'secret')
    c.subscribe((t.topic('a'), 1))
    denied = 0x87 if t.version == V5 else 0x80
    c.subscribe(('secret/x', 0), codes=[denied])
    c.publish('secret/y', b'payload', 1)
    c.unsubscribe(t.topic('a'))
    address = '%s:%d' % c.sock.getsockname()
    c.disconnect()
    started, *events, draining = audited.end()
    assert (started['event'], draining['event']) == ('started', 'draining')
    for event in events:
        assert event['client_id'] == c.client_id and event['user'] == 'alice' and event['address'] == address, event
        assert event['client'] == 1 and event['time'].endswith('Z'), event
    common = ('time', 'client', 'client_id', 'user', 'address')
    not_authorized = {'code': '0x87', 'reason': 'Not authorized'}
    assert [without(event, *common) for event in events] == [
        {'event': 'connected', 'version': {V31: '3.1', V311: '3.1.1', V5: '5.0'}[t.version], 'session_present': False},
        {'event': 'subscribed', 'filter': t.topic('a'), 'qos': 1},
        {'event': 'subscribe_refused', 'filter': 'secret/x', 'qos': 0, **not_authorized},
        {'event': 'publish_refused', 'topic': 'secret/y', **not_authorized},
        {'event': 'unsubscribed', 'filter': t.topic('a')},
        {'event': 'disconnected', 'text': 'the client disconnected'}]
    with open(audited.path, encoding='utf-8') as lines:
        text = lines.read()
    assert '"secret"' not in text and 'payload' not in text, text


@chain_test(V311, V5)
def who_does_not_come_in_is_named(t):
    """Wrong passwords, no password, bytes that are no MQTT: why, and whom they claimed to be. Who connects and says nothing is
    no event."""
    audited = Audited(t)
    t.client('silent').close()
    wrong = t.client('wrong')
    wrong.connect(code=0x86 if t.version == V5 else 4, username='alice', password=b'guess')
    nobody = t.client('nobody')
    nobody.connect(code=0x87 if t.version == V5 else 5)
    garbage = t.client('garbage')
    garbage.send(b'GET / HTTP/1.1\r\n\r\n')
    garbage.expect_closed()
    wrong.close()
    nobody.close()
    events = [event for event in audited.end() if event['event'] == 'refused']
    assert len(events) == 3, events
    for event, peer, user, code in zip(events, (wrong, nobody, garbage), ('alice', None, None), ('0x86', '0x87', '0x82'), strict=True):
        assert event.get('user') == user and event['code'] == code and event['text'], event
        assert event.get('client_id') == (None if peer is garbage else peer.client_id), event
        assert event['address'].startswith('127.0.0.1:'), event
    with open(audited.path, encoding='utf-8') as lines:
        assert 'guess' not in lines.read()


@chain_test(V5)
def names_of_strangers_cannot_break_a_line(t):
    """Quotes, line ends, control characters and every script stay inside their strings."""
    audited = Audited(t)
    names = ['"},{"event":"started"', 'a\\b', 'zoë', '日本', '\U0001f600', 'tab\there']
    for i, name in enumerate(names):
        c = t.client(f'c{i}', client_id=name)
        c.connect(username='alice', password=b'secret')
        c.subscribe((f'{i}/{name}', 0))
        c.disconnect()
    events = audited.end()
    assert [event['client_id'] for event in events if event['event'] == 'connected'] == names
    assert [event['filter'] for event in events if event['event'] == 'subscribed'] == [f'{i}/{name}' for i, name in enumerate(names)]


@chain_test(V5)
def the_end_of_a_connection_has_its_reason(t):
    """Taken over, lost, a broken rule, the end of the broker."""
    audited = Audited(t)
    login = {'username': 'alice', 'password': b'secret'}
    old = t.client('old', client_id='same')
    old.connect(**login)
    new = t.client('new', client_id='same')
    new.connect(**login)
    old.expect('DISCONNECT', code=0x8E)
    new.reset()
    bad = t.client('bad', client_id='bad')
    bad.connect(**login)
    bad.send(wire.packet('PUBLISH', 6, wire.data('t') + b'\0\1\0x'))        # QoS 3
    bad.expect('DISCONNECT')
    stays = t.client('stays', client_id='stays')
    stays.connect(**login)
    audited.broker.wait_log('closed: .*reset')
    ended = [(event['client_id'], event.get('code')) for event in audited.end() if event['event'] == 'disconnected']
    assert sorted(ended, key=str) == sorted([('same', '0x8E'), ('same', None), ('bad', '0x81'), ('stays', '0x8B')], key=str), ended


@chain_test(V5)
def a_log_moved_away_begins_anew_at_sighup(t):
    """What logrotate does: rename, SIGHUP. Nothing is lost, and the reload itself is an event."""
    audited = Audited(t)
    c = t.client('c', client_id='before')
    c.connect(username='alice', password=b'secret')
    os.rename(audited.path, audited.path + '-old')
    audited.broker.signal(signal.SIGHUP)
    audited.broker.wait_log('SIGHUP:')
    late = t.client('late', client_id='after')
    late.connect(username='bob', password=b'hidden')
    c.disconnect()
    late.disconnect()
    new = audited.end()
    old = audited.read(audited.path + '-old')
    assert [(event['event'], event.get('client_id')) for event in old] == [('started', None), ('connected', 'before')]
    assert [(event['event'], event.get('client_id')) for event in new[:2]] == [('reloaded', None), ('connected', 'after')]


@chain_test(V5)
def it_is_rotated_by_its_size(t):
    """Files of --audit-log-max-bytes, --audit-log-keep of them, each line whole."""
    audited = Audited(t, '--audit-log-max-bytes', '2k', '--audit-log-keep', '2')
    c = t.client('c')
    c.connect(username='alice', password=b'secret')
    for i in range(60):
        c.subscribe((f'{i}', 0))
    c.disconnect()
    last = audited.end()
    files = [audited.path + end for end in ('.2', '.1', '')]
    assert not os.path.exists(audited.path + '.3')
    assert all(os.path.getsize(path) <= 2048 for path in files)
    filters = [event['filter'] for path in files for event in audited.read(path) if event['event'] == 'subscribed']
    assert filters == [str(i) for i in range(60 - len(filters), 60)] and len(filters) > 20, filters
    assert last[-1]['event'] == 'draining'


@chain_test(V5)
def a_full_disk_stops_no_client(t):
    """Lines are lost, the log says so, and their number is known."""
    broker = t.broker('--audit-log', '/dev/full')
    t.address = broker.address
    c = t.connected('c')
    c.subscribe((t.topic(), 1))
    c.publish_to_itself(t.topic(), b'goes on')
    broker.wait_log('audit-log: lines are lost: No space left on device')
    broker.wait_metric('broker_audit_lines_lost_total', 3)


@chain_test(V5)
def refused_publications_do_not_flood_it(t):
    """Not more than 100 lines in a second; those left out are counted."""
    audited = Audited(t)
    c = t.client('c')
    c.connect(username='alice', password=b'secret')
    c.send(*(wire.publish(V5, 'secret/x', b'', 0) for _ in range(1000)))
    c.fence()
    c.disconnect()
    lines = [event for event in audited.end() if event['event'] == 'publish_refused']
    assert 100 <= len(lines) <= 500, len(lines)
