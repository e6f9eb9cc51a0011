"""TLS of MQTT clients before r-proxy and our broker, and of brokers behind s-proxy: who is believed, who is let in, what is said.
That files change under load: rotation.py."""

import os
import subprocess

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.peer import connect_to
from lib.programs import run_command
from lib.wire import V31, V311, V5

KEY = '00112233445566778899aabbccddeeff'


def make_certs(t, *options):
    return Certs(os.path.join(t.folder, 'certs'), *options)


def tls_r_proxy(t, s_proxy, *options, **program):
    return t.r_proxy(s_proxy.target if s_proxy else '127.0.0.1:1', *options, listens=('mqtts://127.0.0.1:0',), **program)


def tls_front(t, *options, **program):
    return t.front(*options, listens=('mqtts://127.0.0.1:0',), **program)


def publish(address, *options, host='localhost'):
    """mosquitto_pub with these options: exit code and what it says."""
    code, out, error = run_command(['mosquitto_pub', '-h', host, '-p', str(address[1]), '-V', '5', '-t', 'x', '-m', 'y', '-q', '1',
                                    *options])
    return code, out.decode() + error


def own(certs, name):
    return ('--cafile', certs['ca.pem'], '--cert', certs[f'{name}.pem'], '--key', certs[f'{name}-key.pem'])


def s_client(certs, address, *options):
    return run_command(['openssl', 's_client', '-connect', f'{address[0]}:{address[1]}', '-CAfile', certs['ca.pem'], *options])


# ---- what passes


@chain_test(V31, V311, V5, relay=True)
def both_ends_of_the_chain_may_be_mutual_tls(t):
    """Client to r-proxy and s-proxy to broker, with certificates on all sides: messages of every QoS and of 1 MB pass."""
    certs = make_certs(t)
    broker, url = t.tls_mosquitto(certs, 'require_certificate true', 'use_identity_as_username true')
    s_proxy = t.s_proxy([url], *certs.upstream(name='r-proxy'))
    r_proxy = tls_r_proxy(t, s_proxy, *certs.mutual_door())
    t.tls = certs.context()
    sub, pub = t.served('sub'), t.served('pub')
    sub.subscribe((t.topic('#'), 2))
    for qos in (0, 1, 2):
        pub.publish(t.topic(str(qos)), b'x' * 1_000_000, qos)
        sub.receive(t.topic(str(qos)), b'x' * 1_000_000)
    assert "u'r-proxy'" in broker.log()
    r_proxy.wait_log(r'mqtts://127\.0\.0\.1:\d+: certificate CN=server, valid until')


@chain_test(V311, V5)
def the_certificate_says_who_the_user_is(t):
    """--tls-identity: the name in the certificate goes to the broker in place of what CONNECT says; none, no entry."""
    certs = make_certs(t)
    for kind, name, wanted in (('cn', 'client', 'client'), ('san', 'r-proxy', 'r-proxy'), ('cn', None, None)):
        broker = t.scripted()
        s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'])
        tls_r_proxy(t, s_proxy, *certs.mutual_door('--tls-client-auth', 'optional', '--tls-identity', kind))
        t.tls = certs.context(name)
        c = t.client('c')
        if wanted is None:
            c.connect(code=0x87 if t.version == V5 else 5, username='admin', password=b'secret')
            c.expect_closed()
            continue
        c.send(wire.connect(c.version, c.client_id, username='admin', password=b'secret'))
        got = t.accept(broker).expect('CONNECT')
        assert got.username == wanted and got.password is None, got


@chain_test(front=True)
def keys_shared_before_let_clients_in(t):
    """--tls-psk-file, beside a certificate and alone: the right key enters, a wrong key and an unknown name do not."""
    certs = make_certs(t)
    psk = certs.write('psk', f'# keys\npump-1:{KEY}\nurn:pump:2:{KEY[::-1]}\n')
    for options in (('--tls-psk-file', psk), certs.door('--tls-psk-file', psk)):
        front = tls_front(t, *options)
        for identity, key in (('pump-1', KEY), ('urn:pump:2', KEY[::-1])):
            code, said = publish(front.address, '--psk-identity', identity, '--psk', key)
            assert code == 0, said
        assert publish(front.address, '--psk-identity', 'pump-1', '--psk', KEY[::-1])[0] != 0
    old = ('-tls1_2', '-cipher', 'PSK', '-psk', KEY)
    code, out, _ = s_client(certs, front.address, *old, '-psk_identity', 'pump-1')
    assert code == 0 and b'PSK identity: pump-1' in out, out
    assert s_client(certs, front.address, *old, '-psk_identity', 'stranger')[0] != 0
    front.wait_log("closed: TLS: unknown PSK identity 'stranger'")
    assert KEY not in front.log()
    code, said = publish(front.address, '--cafile', certs['ca.pem'])
    assert code == 0, said


# ---- what does not


@chain_test(front=True)
def clients_that_are_not_believed_are_named(t):
    """Revoked, expired, of another CA, without certificate, without TLS: refused, with certificate and reason in the log; one
    that is good still comes in."""
    certs, other = make_certs(t), Certs(os.path.join(t.folder, 'other'))
    front = tls_front(t, *certs.mutual_door())
    foreign = ('--cafile', certs['ca.pem'], '--cert', other['client.pem'], '--key', other['client-key.pem'])
    for options, words in ((own(certs, 'revoked'), 'TLS: certificate CN=revoked refused: certificate revoked'),
                           (own(certs, 'expired'), 'TLS: certificate CN=expired refused: certificate has expired'),
                           (foreign, 'TLS: certificate CN=client refused: unable to get local issuer certificate'),
                           (('--cafile', certs['ca.pem']), 'TLS: peer did not return a certificate'),
                           ((), 'TLS: wrong version number')):
        since = front.mark()
        code, said = publish(front.address, *options)
        assert code != 0, said
        front.wait_log(f'closed: {words}', since)
    code, said = publish(front.address, *own(certs, 'client'))
    assert code == 0, said


@chain_test(front=True)
def a_server_that_clients_do_not_believe_hears_why(t):
    """Another CA, another name than the one dialled: the client goes, and its alert is in r-proxy's log."""
    certs, other = make_certs(t), Certs(os.path.join(t.folder, 'other'))
    front = tls_front(t, *certs.door(), alone=True)
    for options, words in ((('-CAfile', other['ca.pem'], '-verify_return_error'), 'unknown CA'),
                           (('-verify_hostname', 'other.example', '-verify_return_error'), 'bad certificate')):
        since = front.mark()
        code, _, _ = s_client(certs, front.address, *options)
        assert code != 0
        front.wait_log(f'closed: TLS: the peer refuses: {words}', since)


@chain_test(front=True)
def versions_ciphers_and_renegotiation_are_as_configured(t):
    """1.2 and 1.3 with ALPN mqtt; 1.1 refused; --tls-min-version 1.3 refuses 1.2; --tls-ciphers; no renegotiation."""
    certs = make_certs(t)
    front = tls_front(t, *certs.door(), alone=True)
    for version in ('1_2', '1_3'):
        code, out, _ = s_client(certs, front.address, f'-tls{version}', '-alpn', 'mqtt')
        assert code == 0 and b'ALPN protocol: mqtt' in out and b'Verify return code: 0 (ok)' in out, out
    code, out, _ = s_client(certs, front.address, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0')
    assert code != 0 and b'Cipher is (NONE)' in out, out
    front.wait_log('closed: TLS: unsupported protocol')
    with subprocess.Popen(['openssl', 's_client', '-connect', f'127.0.0.1:{front.address[1]}', '-tls1_2'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as talk:
        talk.stdin.write(b'R\n')           # asks for it; its standard input stays open
        talk.stdin.flush()
        said = talk.stdout.read()
    assert b'RENEGOTIATING' in said and b'no renegotiation' in said, said
    front = tls_front(t, *certs.door('--tls-min-version', '1.3', '--tls-ciphers', 'TLS_CHACHA20_POLY1305_SHA256'), alone=True)
    assert s_client(certs, front.address, '-tls1_2')[0] != 0
    code, out, _ = s_client(certs, front.address)
    assert code == 0 and b'TLS_CHACHA20_POLY1305_SHA256' in out, out


@chain_test(front=True)
def handshakes_that_stall_are_closed(t):
    """Nothing, one byte, half a ClientHello: closed after --connect-timeout, and a good client is served meanwhile."""
    certs = make_certs(t)
    front = tls_front(t, *certs.door('--connect-timeout', '500ms'))
    stalled = [connect_to(front.address) for _ in range(30)]
    for number, sock in enumerate(stalled):
        sock.sendall((b'', b'\x16', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')[number % 3])
    t.tls = certs.context(None)
    t.served('good').fence()
    for sock in stalled:
        try:
            assert sock.recv(100) == b''
        except ConnectionResetError:
            pass
        sock.close()
    front.wait_log('closed: no CONNECT in time')


@chain_test(front=True)
def files_that_are_no_good_are_named_at_start(t):
    """Missing, cut, foreign key, a CRL that is none, PSKs in a wrong form: exit status 1, and the log says which file and why."""
    certs = make_certs(t)
    certs.write('cut.pem', certs.read('server.pem').decode()[:-40])
    for options, words in ((certs.door(name='none'), 'none.pem: No such file'),
                           (('--tls-cert', certs['cut.pem'], '--tls-key', certs['server-key.pem']), 'cut.pem: bad end line'),
                           (('--tls-cert', certs['server.pem'], '--tls-key', certs['client-key.pem']),
                            'certificate CN=server, .*client-key.pem: key values mismatch'),
                           (certs.door('--tls-client-ca', certs['none.pem']), 'none.pem: No such file'),
                           (certs.mutual_door('--tls-crl', certs['ca.pem']), 'ca.pem: '),
                           (certs.door('--tls-ciphers', 'NONSENSE'), 'tls-ciphers: NONSENSE: no cipher match'),
                           (('--tls-psk-file', certs.write('psk', f'a:{KEY}\nb\n')), 'psk, line 2: expected identity:hexkey')):
        program = tls_front(t, *options, ready=False, alone=True)
        program.wait_log(words)
        assert program.wait_exit() == 1
        t.programs.remove(program)


@chain_test()
def files_towards_brokers_that_are_no_good_are_named_at_start(t):
    """Likewise at s-proxy."""
    certs = make_certs(t)
    certs.write('cut.pem', certs.read('server.pem').decode()[:-40])
    program = t.s_proxy(['mqtts://localhost:1'], '--upstream-tls-ca', certs['cut.pem'], ready=False)
    program.wait_log('upstream TLS: .*cut.pem: bad end line')
    assert program.wait_exit() == 1
    t.programs.remove(program)


@chain_test()
def options_that_need_each_other_say_so(t):
    """mqtts:// without a certificate, a key alone, client certificates without a CA: refused with the missing one's name."""
    for name, options, words in (('r-proxy', (), 'needs tls-cert or tls-psk-file'),
                                 ('r-proxy', ('--tls-psk-file', 'p', '--tls-key', 'a'), 'there is no tls-cert'),
                                 ('r-proxy', ('--tls-cert', 'a', '--tls-client-auth', 'optional'), 'without tls-client-ca'),
                                 ('r-proxy', ('--tls-cert', 'a', '--tls-client-auth', 'maybe'), 'none of none, optional, require'),
                                 ('r-proxy', ('--tls-cert', 'a', '--tls-identity', 'cn'), 'without tls-client-ca'),
                                 ('s-proxy', ('--upstream-tls-key', 'a'), 'there is no upstream-tls-cert')):
        for binary in ('r-proxy', 'broker/mqtt-broker') if name == 'r-proxy' else (name,):
            listen = ('--listen', 'mqtts://127.0.0.1:0') if name == 'r-proxy' else ()
            code, _, error = run_command([t.binary(binary), '--check-config', *listen, *options])
            assert code == 1 and words in error, (binary, options, error)


@chain_test(front=True)
def a_key_that_others_may_read_is_warned_of(t):
    """At start, with its mode."""
    certs = make_certs(t)
    os.chmod(certs['server-key.pem'], 0o644)
    tls_front(t, *certs.door(), alone=True).wait_log(r'server-key.pem can be read by others than its owner \(mode 644\)')


# ---- brokers


@chain_test(V311, V5)
def brokers_that_are_not_believed_are_named(t):
    """Another CA, another name, revoked, expired: no session, the client is told, the log says which certificate and why; the
    next broker of the list is tried."""
    certs, other = make_certs(t), Certs(os.path.join(t.folder, 'other'))
    _, url = t.tls_mosquitto(certs)
    _, revoked = t.tls_mosquitto(certs, name='revoked')
    _, expired = t.tls_mosquitto(certs, name='expired')
    plain = t.mosquitto()
    for address, options, words in (
            (url, other.upstream(), 'certificate CN=server refused: self-signed certificate in certificate chain: '),
            (url, (), 'certificate CN=server refused: self-signed certificate in certificate chain: '),
            (url, certs.upstream('--upstream-tls-server-name', 'other.example'),
             'certificate CN=server refused: hostname mismatch, expected other.example'),
            (expired, certs.upstream(), 'certificate CN=expired refused: certificate has expired'),
            (revoked, certs.upstream('--upstream-tls-crl', certs['crl.pem']), 'certificate CN=revoked refused: certificate revoked')):
        s_proxy = t.s_proxy([address], *options)
        t.r_proxy(s_proxy.target)
        c = t.client('c')
        c.connect(code=0x88 if t.version == V5 else 3)
        c.expect_closed()
        s_proxy.wait_log(f'broker mqtts://.*TLS: {words}')
    s_proxy = t.s_proxy([url, plain.url], *other.upstream())
    t.r_proxy(s_proxy.target)
    t.served('c').fence()
    s_proxy.wait_log(f'live at {plain.url}')
