"""Who clients are to our broker, by what stands before it: TLS, the proxies in front, the workers between which they are moved."""

import base64
import hashlib
import os

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.programs import run_command
from lib.wire import V311, V5

from .proxy_headers import CLIENT_HOST, TRUSTING, client_from
from .tls import KEY, own, publish

LISTENS = ('mqtts://127.0.0.1:0', 'mqtt://127.0.0.1:0')


def write(t, name, text):
    path = os.path.join(t.folder, name)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, 0o600)
    return path


def identified(t, *options):
    """Our broker takes the names of users from certificates and keys; each may use topics below its own name alone. With two workers:
    half of the clients are moved. (There is no password that would do.)"""
    certs = Certs(os.path.join(t.folder, 'certs'))
    acl = write(t, 'acl', 'pattern readwrite %u/#\n')
    psk = write(t, 'psk', f'pump-1:{KEY}\n')
    broker = t.broker('--no-allow-anonymous', '--acl-file', acl, '--workers', '2',
                      *certs.mutual_door('--tls-client-auth', 'optional', '--tls-psk-file', psk, *options), listens=LISTENS)
    t.address, t.tls = broker.address, certs.context()
    return broker, certs


@chain_test(V311, V5)
def the_certificate_is_the_user_of_the_acl(t):
    """--tls-identity cn and san: what CONNECT says is not looked at, at whichever worker; the line about the connection has address,
    user and certificate."""
    for kind, name in (('cn', 'client'), ('san', 'r-proxy')):
        broker, certs = identified(t, '--tls-identity', kind)
        t.tls = certs.context(name)
        for number in range(8):
            c = t.connected(f'{kind}{number}', username='admin', password=b'secret')
            c.subscribe((f'{name}/x', 1))
            c.subscribe(('admin/x', 0), codes=[0x87 if t.version == V5 else 0x80])
            c.send(wire.publish(t.version, f'{name}/x', b'own'))
            c.receive(f'{name}/x', 'own')
            c.disconnect()
        broker.wait_log(rf"peer=127\.0\.0\.1:\d+ .*connected, MQTT \S+, user '{name}', TLSv1.3, certificate 'CN={name}")


@chain_test(V311, V5)
def who_shows_no_certificate_is_refused(t):
    """--tls-identity with an optional certificate: 0x87 (3.x: 5), though its password may be right; without TLS users say who they
    are as ever."""
    broker, certs = identified(t, '--tls-identity', 'cn', '--password-file', passwords(t))
    t.tls = certs.context(None)
    c = t.client('c')
    c.connect(code=0x87 if t.version == V5 else 5, username='alice', password=b'secret')
    c.expect_closed()
    broker.wait_log('closed: its certificate has no name for a user')
    t.tls = None
    c = t.connected('plain', address=broker.listens[1], username='alice', password=b'secret')
    c.publish('alice/x', b'own', 1)
    c = t.client('wrong', address=broker.listens[1])
    c.connect(code=0x86 if t.version == V5 else 4, username='alice', password=b'other')


def passwords(t):
    path = os.path.join(t.folder, 'passwords')
    code, _, error = run_command([t.binary('broker/passwd/mqtt-passwd'), '-b', path, 'alice', 'secret'])
    assert code == 0, error
    return path


@chain_test()
def the_key_shared_before_is_the_user(t):
    """--tls-psk-file and --tls-identity: mosquitto_pub with a key is its identity."""
    broker, certs = identified(t, '--tls-identity', 'cn')
    code, said = publish(broker.address, '--psk-identity', 'pump-1', '--psk', KEY)
    assert code == 0 and 'Not authorized' in said, said         # to x; the connection is good
    broker.wait_log("connected, MQTT 5.0, user 'pump-1', TLSv1.., pre-shared key 'pump-1'")
    code, out, error = run_command(['mosquitto_pub', '-h', 'localhost', '-p', str(broker.address[1]), '-V', '5', '-q', '1',
                                    '-t', 'client/x', '-m', 'y', *own(certs, 'client')])
    assert code == 0 and not error, out.decode() + error


@chain_test(V5)
def a_certificate_and_an_authentication_method_exclude_each_other(t):
    """0x8C: who one is would be said twice."""
    identified(t, '--tls-identity', 'cn')
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id, properties=[('auth_method', 'SCRAM-SHA-256')]))
    c.expect('CONNACK', code=0x8C)
    c.expect_closed()


@chain_test(V311, V5)
def the_rules_see_tenants_as_the_broker_does(t):
    """--mount-point with an ACL: its topics have the mount point before them, %c has the prefix. With two workers."""
    acl = write(t, 'acl', 'topic read acme/news/#\npattern readwrite acme/own/%c\n')
    broker = t.broker('--acl-file', acl, '--workers', '2', '--mount-point', 'acme', '--client-id-prefix', 'acme-')
    t.address = broker.address
    refused = 0x87 if t.version == V5 else 0x80
    for number in range(6):
        c = t.client(f'c{number}', client_id=f'c{number}')
        c.connect()
        c.subscribe((f'own/acme-c{number}', 1), (f'own/c{number}', 1), ('news/#', 0), ('acme/news/#', 0), codes=[1, refused, 0, refused])
        c.send(wire.publish(t.version, f'own/acme-c{number}', b'x', 1, 7))
        assert {c.next().kind, c.next().kind} == {'PUBACK', 'PUBLISH'}


@chain_test(V311, V5)
def a_client_is_not_read_while_its_acknowledgements_wait_for_the_store(t):
    """--receive-maximum 4 with LMDB: of 500 messages and releases at once all are acknowledged in their order, four at a time; 5.0 keeps
    to the number by itself, but releases are nobody's quota."""
    broker = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), '--receive-maximum', '4', '--workers', '1')
    t.address = broker.address
    reader = t.connected('reader', clean=False, properties=[('session_expiry', 300)] if t.version == V5 else ())
    reader.subscribe((t.topic('a'), 1))
    reader.disconnect()
    c = t.connected('c')
    count = 500 if t.version == V311 else 4
    c.send(*(wire.publish(t.version, t.topic('a'), b'x', 1, packet_id) for packet_id in range(1, count + 1)))
    c.send(*(wire.ack(t.version, 'PUBREL', packet_id) for packet_id in range(1001, 1501)))
    for packet_id in range(1, count + 1):
        c.expect('PUBACK', packet_id=packet_id)
    for packet_id in range(1001, 1501):
        c.expect('PUBCOMP', packet_id=packet_id)
    assert broker.count('clients_held_total') > 0
    c.fence()


@chain_test(V5)
def the_broker_behind_the_proxies_knows_the_client(t):
    """TLS to r-proxy, s-proxy --upstream-proxy-protocol v2, our broker with --proxy-protocol on: its line about the connection has the
    client's address and certificate, and %n is the certificate's name."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = t.broker(*TRUSTING, '--mount-point', 'site/%n', listens=('mqtt://127.0.0.1:0',))
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'], '--upstream-proxy-protocol', 'v2')
    r_proxy = t.r_proxy(s_proxy.target, *certs.mutual_door(), listens=('mqtts://127.0.0.1:0',))
    c, port = client_from(t, 'c', r_proxy.address)
    c.sock = certs.context().wrap_socket(c.sock, server_hostname='localhost')
    c.connect()
    broker.wait_log(rf"peer={CLIENT_HOST}:{port} via=127\.0\.0\.1:\d+ .*connected, MQTT 5\.0, TLSv1\.3 to the proxy, certificate 'client'")
    c.subscribe(('#', 1))
    c.send(wire.publish(V5, 'x', b'own'))
    c.receive('x', 'own')
    broker.wait_log("subscribes to 'site/client/#'")


@chain_test(V311, V5)
def time_that_the_broker_takes_for_a_login_is_not_the_clients(t):
    """--connect-timeout is about CONNECT: a password whose check takes longer lets its client in all the same."""
    salt = b'0123456789ab'
    key = hashlib.pbkdf2_hmac('sha512', b'secret', salt, 200_000)
    users = write(t, 'slow', f'alice:$7$200000${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}\n')
    t.address = t.broker('--no-allow-anonymous', '--password-file', users, '--connect-timeout', '150ms').address
    t.connected('c', username='alice', password=b'secret').fence()
