"""Tenants: clients below a mount point, with client ids of a prefix, by listener (of r-proxy or our broker), user, certificate, and
r-proxy."""

import os
import signal
import struct

from lib import wire
from lib.case import BROKER, RELAY, chain_test
from lib.certs import Certs
from lib.programs import run_command
from lib.wire import V31, V311, V5, Will

from .proxy_headers import CLIENT_HOST, TRUSTING, HeaderServer, client_from

TWO_LISTENERS = ('mount-point: acme, client-id-prefix: "acme:"', 'mount-point: beta/eu/, client-id-prefix: "beta:"')


def write(t, name, text):
    path = os.path.join(t.folder, name)
    with open(path + '.new', 'w', encoding='utf-8') as out:
        out.write(text)
    os.chmod(path + '.new', 0o600)
    os.rename(path + '.new', path)
    return path


def tenants_front(t, *listeners, options=(), scheme='mqtt'):
    """LISTENERS, each with such options, and a broker of which t.watch sees everything: behind r-proxy, or our own itself."""
    rows = [f'  - {{url: "{scheme}://127.0.0.1:0", {row}}}\n' for row in listeners]
    if t.way == BROKER:
        rows.append('  - {url: "mqtt://127.0.0.1:0"}\n')
    more = ('-c', write(t, 'listeners.yaml', 'listeners:\n' + ''.join(rows)), *options)
    if t.way == BROKER:
        front = t.front(*more, listens=())
        t.watch = front.listens[-1]
    else:
        broker = t.mosquitto()
        t.watch = broker.address
        front = t.r_proxy(t.s_proxy([broker.url]).target, *more, listens=())
    return front


def broker_of(t):
    """The program of tenants_front() that is the broker: it logs who has come."""
    return t.programs[0]


def refusal(t, v5, v3):
    return v5 if t.version == V5 else v3


def reload(program, words):
    since = program.mark()
    program.signal(signal.SIGHUP)
    program.wait_log(words, since)


class Tenant:
    """The clients of one tenant: each is named after it in the transcript, and calls itself as those of the other do."""

    def __init__(self, t, name, address):
        self.t, self.name, self.address = t, name, address

    def connected(self, name, **options):
        return self.t.connected(f'{self.name} {name}', client_id=name, address=self.address, **options)


def never_meet(t, watched, one, other, mount):
    """Two tenants do the same with the same names. ONE's topics are below MOUNT to the broker, which is WATCHED."""
    watch = t.connected('watch', address=watched)
    watch.subscribe(('#', 2))
    all_of = {tenant: tenant.connected('all') for tenant in (one, other)}
    for client in all_of.values():
        client.subscribe(('#', 2))
    here, there = all_of[one], all_of[other]

    pub = one.connected('pub')
    other.connected('pub').fence()      # the same client id takes nobody's session
    for qos in (0, 1, 2):
        pub.publish('plant/1', f'{qos}', qos)
        here.receive('plant/1', f'{qos}', qos=qos)
        watch.receive(f'{mount}/plant/1', f'{qos}')
    there.fence()

    members = {tenant: tenant.connected('member') for tenant in (one, other)}
    for member in members.values():
        member.subscribe(('$share/crew/work/+', 1))
    for number in ('1', '2'):
        pub.publish(f'work/{number}', number, 1)
        members[one].receive(f'work/{number}', number)
        here.receive(f'work/{number}')
        watch.receive(f'{mount}/work/{number}')
    members[other].fence()

    pub.publish('state', 'on', 1, retain=True)
    here.receive('state', 'on')
    watch.receive(f'{mount}/state')
    late = {tenant: tenant.connected('late') for tenant in (one, other)}
    for client in late.values():
        client.subscribe(('+', 1), ('state/#', 1))
    late[one].receive('state', 'on', retain=1)
    late[one].receive('state', 'on', retain=1)
    late[other].fence()
    late[one].unsubscribe('+', 'state/#')
    pub.publish('state', '', 1, retain=True)
    here.receive('state', '')
    watch.receive(f'{mount}/state')
    late[one].fence()

    dying = one.connected('dying', will=Will('gone', 'alas', 1))
    dying.reset()
    here.receive('gone', 'alas')
    watch.receive(f'{mount}/gone', 'alas')
    for client in (*all_of.values(), *members.values(), *late.values(), watch, pub):
        client.fence()


@chain_test(V31, V311, V5, relay=True, front=True)
def tenants_of_two_listeners_never_meet(t):
    """The same client ids, filters, shared groups, retained messages and wills on two listeners: each hears its own only."""
    front = tenants_front(t, *TWO_LISTENERS)
    one, other = (Tenant(t, name, address) for name, address in zip(('acme', 'beta'), front.listens))
    never_meet(t, t.watch, one, other, 'acme')
    assert front.count('publishes_outside_mount_total') == 0


@chain_test(V5, front=True)
def an_answer_finds_its_way(t):
    """Request and response inside a tenant: both sides see the response topic as they would without."""
    tenants_front(t, 'mount-point: acme')
    watch = t.connected('watch', address=t.watch)
    watch.subscribe(('acme/ask', 0))
    asks, answers = t.connected('asks'), t.connected('answers')
    answers.subscribe(('ask', 1))
    asks.subscribe(('back/1', 1))
    asks.publish('ask', 'how late?', 1, properties=[('response_topic', 'back/1'), ('correlation_data', b'7')])
    assert watch.receive('acme/ask').prop('response_topic') == 'acme/back/1'
    got = answers.receive('ask', 'how late?', response_topic='back/1', correlation_data=b'7')
    answers.publish(got.prop('response_topic'), 'noon', 1)
    asks.receive('back/1', 'noon')


@chain_test(V5, relay=True)
def what_the_broker_hears_and_what_the_client_hears(t):
    """A scripted broker: every topic of every packet, both ways; aliases pass; what is not below the mount point is acknowledged,
    counted and dropped, with the messages that only its alias names."""
    broker = t.scripted()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'])
    r_proxy = t.r_proxy(s_proxy.target, '--mount-point', 'm/%u', '--client-id-prefix', '%u:')
    c = t.client('c', client_id='c')
    c.send(wire.connect(V5, 'c', username='u', properties=[('topic_alias_maximum', 9), ('maximum_packet_size', 1000)],
                        will=Will('w', properties=[('response_topic', 'r')])))
    b = t.serve(broker, properties=[('topic_alias_maximum', 9), ('maximum_packet_size', 2000)])
    assert b.connect.client_id == 'u:c' and b.connect.username == 'u', b.connect
    assert b.connect.will[1] == 'm/u/w' and b.connect.will[-1] == [('response_topic', 'm/u/r')], b.connect
    assert b.connect.prop('maximum_packet_size') > 1000 and b.connect.prop('topic_alias_maximum') == 9
    assert c.expect('CONNACK').prop('maximum_packet_size') < 2000

    c.send(wire.publish(V5, 'a', properties=[('topic_alias', 1)]), wire.publish(V5, '', 'x', properties=[('topic_alias', 1)]))
    b.expect('PUBLISH', topic='m/u/a', topic_alias=1)
    b.expect('PUBLISH', topic='', payload=b'x', topic_alias=1)
    c.send(wire.subscribe(V5, 1, [('#', 1), ('$share/g/+', 2), ('$SYS/#', 0)]), wire.unsubscribe(V5, 2, ['a/#', '$share/g/+']))
    assert b.expect('SUBSCRIBE').filters == [('m/u/#', 1), ('$share/g/m/u/+', 2), ('$SYS/#', 0)]
    assert b.expect('UNSUBSCRIBE').filters == ['m/u/a/#', '$share/g/m/u/+']

    b.send(wire.publish(V5, 'm/u/down', '1', properties=[('topic_alias', 3), ('response_topic', 'm/u/up')]),
           wire.publish(V5, '', '2', properties=[('topic_alias', 3), ('response_topic', 'else/up')]),
           wire.publish(V5, '$SYS/uptime', '3'))
    c.expect('PUBLISH', topic='down', payload=b'1', topic_alias=3, response_topic='up')
    c.expect('PUBLISH', topic='', payload=b'2', topic_alias=3, response_topic=None)
    c.expect('PUBLISH', topic='$SYS/uptime', payload=b'3')
    assert r_proxy.metric('rproxy_response_topics_removed_total') == 1

    b.send(wire.publish(V5, 'm/u', qos=1, packet_id=1), wire.publish(V5, 'm/v/x', qos=2, packet_id=2, properties=[('topic_alias', 4)]),
           wire.publish(V5, '', qos=1, packet_id=3, properties=[('topic_alias', 4)]))
    b.expect('PUBACK', packet_id=1)
    b.expect('PUBREC', packet_id=2)
    b.expect('PUBACK', packet_id=3)
    b.send(wire.ack(V5, 'PUBREL', 2))
    b.expect('PUBCOMP', packet_id=2)
    b.send(wire.publish(V5, 'm/u/y', properties=[('topic_alias', 4)]))
    c.expect('PUBLISH', topic='y')
    assert r_proxy.metric('rproxy_publishes_outside_mount_total') == 3


@chain_test(V5)
def the_mount_point_does_not_count_for_the_clients_packet_size(t):
    """A message that is as large as the client takes comes through; one byte more is dropped as a broker drops it, and the
    message behind it that has only its alias is understood."""
    broker = t.scripted()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'])
    r_proxy = t.r_proxy(s_proxy.target, '--mount-point', 'a/long/mount/point')
    c = t.client('c')
    fits, exceeds = wire.publish(V5, 'x', 'x' * 50, properties=[('topic_alias', 1)]), 'x' * 51
    c.send(wire.connect(V5, c.client_id, properties=[('maximum_packet_size', len(fits)), ('topic_alias_maximum', 5)]))
    b = t.serve(broker)
    c.expect('CONNACK')
    mounted = wire.publish(V5, 'a/long/mount/point/x', exceeds, properties=[('topic_alias', 1)])
    assert len(mounted) <= b.connect.prop('maximum_packet_size')
    b.send(mounted, wire.publish(V5, '', 'x' * 50, properties=[('topic_alias', 1)]))
    c.expect('PUBLISH', topic='x', payload=b'x' * 50)
    assert r_proxy.metric('rproxy_publishes_over_client_limit_total') == 1


@chain_test(V31, V311, V5, relay=True, front=True)
def who_has_no_place_is_refused(t):
    """No user name, one that leads elsewhere, a client id that does: CONNACK 0x87, 0x85 (3.x: 5, 2), a line and a count."""
    front = t.front('--mount-point', '%u/%c', '--client-id-prefix', '%u:')
    for number, (client_id, options) in enumerate((('c', {}), ('c', {'username': ''}), ('c', {'username': 'a/b'}),
                                                   ('c', {'username': '#'}), ('c', {'username': '+'}), ('c', {'username': 'a:b'}),
                                                   ('c', {'username': '$share'})), 1):
        c = t.client(f'user {number}', client_id=client_id)
        c.connect(code=refusal(t, 0x87, 5), **options)
        c.expect_closed()
        assert front.count('tenants_refused_total') == number
    front.wait_log("client=.*closed: no mount point or client id prefix can be made of its user name")
    for client_id in ('', 'x/y', '#', '+'):
        c = t.client(f'id {client_id}', client_id=client_id)
        c.connect(code=refusal(t, 0x85, 2), username='u')
        c.expect_closed()
    t.connected('good', client_id='good', username='u').fence()


@chain_test(V31, V311, V5, front=True)
def what_is_too_long_below_the_mount_point_ends_with_its_reason(t):
    """Topic 0x90, filter 0x8F, will topic: in CONNACK; 3.x: closed. Without the mount point all of them would do."""
    t.front('--mount-point', 'acme')
    long = 'x' * 65531
    for name, raw, code in (('topic', wire.publish(t.version, long, 'x'), 0x90),
                            ('filter', wire.subscribe(t.version, 1, [('a', 0), (long, 0)]), 0x8F),
                            ('unsubscribe', wire.unsubscribe(t.version, 1, [long]), 0x8F)):
        c = t.connected(name)
        c.send(raw)
        got = c.expect_end((code,))
        assert t.version != V5 or got.code == code and 'below its mount point' in got.prop('reason_string'), got
    c = t.client('will')
    c.send(wire.connect(t.version, c.client_id, will=Will(long)))
    got = c.expect_end((0x90,))
    assert t.version != V5 or got.code == 0x90, got
    c = t.connected('fits')
    c.publish(long[1:], 'x', 1)


@chain_test(V311, V5, relay=True, front=True)
def a_client_without_id_gets_one_below_its_prefix(t):
    """It is not the broker's: 5.0 learns it, and comes back to its session with it; 3.1.1 needs Clean Session."""
    tenants_front(t, 'client-id-prefix: acme-')
    c = t.client('c', client_id='')
    if t.version == V311:
        c.connect()
        broker_of(t).wait_log(r"(as |id=')acme-[0-9a-f]{32}\b")
        c = t.client('lasting', client_id='')
        c.connect(clean=False, code=2)
        c.expect_closed()
        return
    own = c.connect(properties=[('session_expiry', 300)]).prop('assigned_client_id')
    broker_of(t).wait_log(rf"(as |id=')acme-{own}\b")
    c.subscribe((t.topic('a'), 1))
    c.disconnect()
    again = t.client('again', client_id=own)
    assert again.connect(clean=False, present=True).prop('assigned_client_id') is None
    t.connected('pub', client_id='').publish(t.topic('a'), 'x', 1)
    again.receive(t.topic('a'), 'x')


@chain_test(V311, V5, front=True)
def the_certificate_says_where_a_client_lives(t):
    """%n: the certificate's name, and with --tls-identity %u is the same; who shows no certificate is refused."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    for number, (identity, mount) in enumerate((('cn', 'site/%u'), ('none', 'site/%n'))):
        t.tls = None
        tenants_front(t, f'tls-identity: {identity}, mount-point: "{mount}"', scheme='mqtts',
                      options=certs.mutual_door('--tls-client-auth', 'optional'))
        watch = t.connected(f'watch{number}', address=t.watch)
        watch.subscribe(('#', 0))
        t.tls = certs.context('client')
        t.connected(f'c{number}', username='other').publish('x', identity, 1)
        watch.receive('site/client/x', identity)
    t.tls = certs.context(None)
    c = t.client('nobody')
    c.connect(code=refusal(t, 0x87, 5))
    c.expect_closed()


def proxy_header(common_name):
    """PROXY v2 of a balancer that has verified a client's certificate with this name."""
    name = b'\x22' + struct.pack('>H', len(common_name)) + common_name.encode()
    tls = b'\x20' + struct.pack('>H', 5 + len(name)) + b'\x07\0\0\0\0' + name
    addresses = bytes([192, 0, 2, 7, 192, 0, 2, 1]) + struct.pack('>HH', 50122, 1883)
    return b'\r\n\r\n\0\r\nQUIT\n\x21\x11' + struct.pack('>H', len(addresses + tls)) + addresses + tls


@chain_test(V311, V5, front=True)
def a_balancer_may_say_the_name(t):
    """%n is the name that a trusted proxy has read from the client's certificate."""
    tenants_front(t, 'proxy-protocol: "on", trusted-proxies: [127.0.0.1], mount-point: "site/%n"')
    watch = t.connected('watch', address=t.watch)
    watch.subscribe(('#', 0))
    c = t.client('c')
    c.send(proxy_header('pump-3'))
    c.connect()
    c.publish('x', 'y', 1)
    watch.receive('site/pump-3/x', 'y')
    c = t.client('astray')
    c.send(proxy_header('pump/3'))
    c.connect(code=refusal(t, 0x87, 5))
    c.expect_closed()


@chain_test(V311, V5, front=True)
def limits_count_what_the_client_says(t):
    """--max-topic-levels, --max-subscriptions: levels of the mount point are not the client's."""
    t.front('--mount-point', 'a/b/c', '--max-topic-levels', '2', '--max-subscriptions', '1')
    c = t.connected('c')
    c.subscribe(('x/y', 1), ('z', 1), codes=[1, refusal(t, 0x97, 0x80)])
    c.subscribe(('x/y/z', 1), codes=[refusal(t, 0x8F, 0x80)])
    t.connected('pub').publish('x/y', 'z', 1)
    c.receive('x/y', 'z')
    c.unsubscribe('x/y')
    c.subscribe(('z', 1))


@chain_test()
def templates_that_lead_astray_are_refused(t):
    """--check-config names the option and what is wrong with it."""
    for name, value, words in (('mount-point', 'a/#', 'no place for wildcards'), ('mount-point', '$share/g', 'begin with $'),
                               ('mount-point', '%x', '%x is none of %u, %c, %n, %%'), ('mount-point', '', 'nothing is given'),
                               ('client-id-prefix', '%u', 'that ends the value: %u-'),
                               ('client-id-prefix', '%u%n:', 'stand between two values')):
        code, _, error = run_command([t.binary('r-proxy'), '--check-config', f'--{name}={value}'])
        assert code == 1 and f'--{name}: ' in error and words in error, error


# ---- by r-proxy


def identities(t, *entries):
    """The file of an s-proxy; an entry is what stands between the braces."""
    return write(t, 's-proxy.yaml', 'trunk-identities:\n' + ''.join(f'  - {{{entry}}}\n' for entry in entries))


def token_r_proxy(t, s_proxy, token, *options):
    return t.r_proxy(s_proxy.target, '--trunk-token-file', write(t, f'{token}.token', token + '\n'), '--workers', '1', *options)


def expect_not_let_in(t, name):
    """Over the relay service a client's own stream is refused, over trunks there is none."""
    c = t.client(name)
    c.connect(code=refusal(t, *((0x87, 5) if t.way == RELAY else (0x88, 3))))
    c.expect_closed()


@chain_test(V31, V311, V5, relay=True)
def each_r_proxy_has_its_tenant(t):
    """Two r-proxies, each with a token of its own: their clients never meet; a third, with a token that is in no entry, is not
    let in. A mount point of the r-proxy's own lies below that of its identity."""
    broker = t.mosquitto()
    west, east = write(t, 'west.tokens', 'west\n'), write(t, 'east.tokens', 'east\n')
    s_proxy = t.s_proxy([broker.url], '-c', identities(
        t, f'tokens-file: {west}, mount-point: sites/west, client-id-prefix: "west:"',
        f'tokens-file: {east}, mount-point: sites/east, client-id-prefix: "east:"'))
    one = Tenant(t, 'west', token_r_proxy(t, s_proxy, 'west').address)
    other = Tenant(t, 'east', token_r_proxy(t, s_proxy, 'east').address)
    never_meet(t, broker.address, one, other, 'sites/west')
    assert s_proxy.metric('sproxy_publishes_outside_mount_total') == 0
    token_r_proxy(t, s_proxy, 'north')
    expect_not_let_in(t, 'north')
    s_proxy.wait_log(r'is refused \(PERMISSION_DENIED\): this r-proxy is none of trunk-identities')

    watch = t.connected('nested', address=broker.address)
    watch.subscribe(('#', 0))
    token_r_proxy(t, s_proxy, 'east', '--mount-point', 'hall', '--client-id-prefix', 'hall:')
    t.served('c').publish('x', 'y', 1)
    watch.receive('sites/east/hall/x', 'y')
    broker.wait_log(f'as east:hall:{t.base.replace("/", "-")}-c ')


@chain_test(V5, relay=True)
def an_identity_refuses_as_a_listener_does(t):
    """Values that will not do, what is too long, what the broker sends to others: the same answers when s-proxy gives them."""
    broker = t.scripted()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'], '-c', identities(t, 'mount-point: m/%u, client-id-prefix: "%u:"'))
    t.r_proxy(s_proxy.target)
    c = t.client('no user')
    assert 'made of its user name' in c.connect(code=0x87).prop('reason_string')
    c.expect_closed()
    assert s_proxy.metric('sproxy_tenants_refused_total') == 1

    c = t.client('c', client_id='c')
    c.send(wire.connect(V5, 'c', username='u', properties=[('topic_alias_maximum', 5)]))
    b = t.serve(broker)
    assert b.connect.client_id == 'u:c'
    c.expect('CONNACK')
    b.send(wire.publish(V5, 'm/v', qos=2, packet_id=1, properties=[('topic_alias', 1)]),
           wire.publish(V5, '', qos=1, packet_id=2, properties=[('topic_alias', 1)]), wire.publish(V5, 'm/u/x', 'y', 1, 3))
    b.expect('PUBREC', packet_id=1)
    b.expect('PUBACK', packet_id=2)
    b.send(wire.ack(V5, 'PUBREL', 1))
    b.expect('PUBCOMP', packet_id=1)
    c.receive('x', 'y', qos=1)
    b.expect('PUBACK', packet_id=3)
    assert s_proxy.metric('sproxy_publishes_outside_mount_total') == 2
    c.send(wire.publish(V5, 'x' * 65533, 'y'))
    assert c.expect_end((0x90,)).code == 0x90


@chain_test(V5)
def names_of_certificates_are_identities(t):
    """SPIFFE names: the first entry that fits counts; a certificate that is in none is not let in. %n is the name of the client's
    certificate as r-proxy says it, where it is believed."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = t.mosquitto()
    path = identities(t, 'name: "spiffe://mqtt.example/r-proxy", mount-point: "site/%n", trust: certificate',
                      'name: "spiffe://mqtt.example/*", mount-point: other')
    s_proxy = t.s_proxy([broker.url], *certs.server_side('-c', path))
    watch = t.connected('watch', address=broker.address)
    watch.subscribe(('#', 0))
    t.r_proxy(s_proxy.target, *certs.client_side(), *certs.mutual_door(), listens=('mqtts://127.0.0.1:0',))
    t.tls = certs.context('client')
    t.served('c').publish('x', 'y', 1)
    watch.receive('site/client/x', 'y')
    t.tls = None
    t.r_proxy(s_proxy.target, *certs.client_side())
    c = t.client('nameless')
    c.connect(code=refusal(t, 0x87, 5))
    c.expect_closed()
    identities(t, 'name: "spiffe://mqtt.example/s-proxy", mount-point: x')
    s_proxy = t.s_proxy([broker.url], *certs.server_side('-c', path))
    t.r_proxy(s_proxy.target, *certs.client_side())
    expect_not_let_in(t, 'stranger')


@chain_test()
def an_r_proxy_is_believed_as_far_as_its_entry_goes(t):
    """trust: the broker's PROXY header and the log name the client's address, or do not."""
    for trust, wanted in (('[address, certificate]', f'PROXY TCP4 {CLIENT_HOST} '), ('address', f'PROXY TCP4 {CLIENT_HOST} '),
                          ('certificate', 'PROXY UNKNOWN'), ('[]', 'PROXY UNKNOWN')):
        server = HeaderServer(t)
        s_proxy = t.s_proxy([server.url], '--upstream-proxy-protocol', 'v1', '--log', 'debug',
                            '-c', identities(t, f'trust: {trust}'))
        r_proxy = t.r_proxy(s_proxy.target)
        c, port = client_from(t, f'c {trust}', r_proxy.address)
        c.send(wire.connect(V5, 'c'))
        line = server.accept().take_line()
        assert line.startswith(wanted), line
        s_proxy.wait_log('dialling -> asking')
        is_named = f'{CLIENT_HOST}:{port}' in s_proxy.log()
        assert is_named == ('address' in trust), s_proxy.log()
        c.close()
        server.close()


@chain_test(V311, V5)
def identities_change_on_sighup(t):
    """Clients that are there keep their tenant, those that come get the new one, on the trunk that is there; an r-proxy whose entry
    is gone gets no new client, and keeps those it has; a broken list changes nothing and says so."""
    broker = t.mosquitto()
    tokens = write(t, 'tokens', 'west\n')
    path = identities(t, f'tokens-file: {tokens}, mount-point: old')
    s_proxy = t.s_proxy([broker.url], '-c', path)
    watch = t.connected('watch', address=broker.address)
    watch.subscribe(('#', 0))
    r_proxy = token_r_proxy(t, s_proxy, 'west')
    old = t.served('old')
    old.subscribe(('x', 1))

    identities(t, f'tokens-file: {tokens}, mount-point: new')
    reload(s_proxy, 'SIGHUP')
    new = t.connected('new')
    new.publish('x', 'new', 1)
    watch.receive('new/x', 'new')
    old.send(wire.publish(t.version, 'x', 'old'))
    watch.receive('old/x', 'old')
    old.receive('x', 'old')

    write(t, 'tokens', 'no token\n')
    reload(s_proxy, 'identities of r-proxies are kept as they were: trunk-identities: .*tokens, line 1: not a token')
    t.connected('still').publish('x', 'still', 1)
    watch.receive('new/x', 'still')

    write(t, 'tokens', 'east\n')
    reload(s_proxy, 'SIGHUP')
    expect_not_let_in(t, 'late')
    s_proxy.wait_log(r'is refused \(PERMISSION_DENIED\): this r-proxy is none of trunk-identities any more')
    old.fence()
    new.fence()
    write(t, 'tokens', 'west\n')
    reload(s_proxy, 'SIGHUP')
    t.served('back').publish('x', 'back', 1)
    watch.receive('new/x', 'back')
    old.fence()
    assert r_proxy.metric('rproxy_clients_lost_total') == 0
