"""Trunks over TLS: who is believed and who is let in. That files change under load: rotation.py."""

import os
import signal
import time

from lib import wire
from lib.case import RELAY, chain_test
from lib.certs import Certs
from lib.peer import PATIENCE, connect_to
from lib.programs import Tinyproxy, run_command
from lib.wire import V31, V311, V5


def make_certs(t, *options):
    return Certs(os.path.join(t.folder, 'certs'), *options)


def expect_refused(t, codes=(0x88, 3)):
    """A client is told that nobody is there, with these codes of MQTT 5 and 3.x. Returns its CONNACK."""
    c = t.client('c')
    got = c.connect(code=codes[0] if t.version == V5 else codes[1])
    c.expect_closed()
    return got


def not_let_in(t):
    """What a client hears when its r-proxy may not open streams: over the relay service its own stream was refused."""
    return (0x87, 5) if t.way == RELAY else (0x88, 3)


def try_with(certs, address, *options):
    """A handshake of openssl's."""
    return run_command(['openssl', 's_client', '-connect', f'{address[0]}:{address[1]}', '-alpn', 'h2', '-CAfile',
                        certs['ca.pem'], *options])


@chain_test(V31, V311, V5, relay=True)
def mutual_tls_carries_everything(t):
    """Certificates on both sides: messages of every QoS and of 1 MB pass, nothing is in clear text, nobody is refused."""
    certs = make_certs(t)
    _, s_proxy, r_proxy = t.chain(s_options=certs.server_side(), r_options=certs.client_side())
    sub, pub = t.served('sub'), t.served('pub')
    sub.subscribe((t.topic('#'), 2))
    for qos in (0, 1, 2):
        pub.publish(t.topic(str(qos)), b'x' * 1_000_000, qos)
        sub.receive(t.topic(str(qos)), b'x' * 1_000_000)
    assert 'clear text' not in s_proxy.log() + r_proxy.log()
    s_proxy.wait_log('trunk TLS: certificate CN = server, valid until .*; r-proxies need a certificate')
    r_proxy.wait_log('trunk TLS: certificate CN = r-proxy, valid until')
    assert s_proxy.metric('sproxy_handshakes_refused_total') == s_proxy.metric('sproxy_r_proxies_refused_total') == 0


@chain_test()
def sni_and_authority_are_the_name(t):
    """A target by name, by address, by Unix socket, and with --trunk-tls-server-name: the certificate must name what counts."""
    certs = make_certs(t, '--host', 'cloud.example')
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    port = s_proxy.address[1]
    path = os.path.join(t.folder, 's')
    unix = t.s_proxy([broker.url], *certs.server_side(), listen=f'unix:{path}', ready=False)
    unix.wait_log('ready')
    for target, options in ((f'localhost:{port}', ()), (f'ipv4:127.0.0.1:{port}', ()), (f'unix:{path}', ()),
                            (f'127.0.0.1:{port}', ('--trunk-tls-server-name', 'cloud.example'))):
        t.r_proxy(target, *certs.client_side(*options))
        t.served(target).fence()
    r_proxy = t.r_proxy(f'localhost:{port}', *certs.client_side('--trunk-tls-server-name', 'other.example'))
    r_proxy.wait_log('an s-proxy is not believed: certificate CN = server is not one of other.example')
    expect_refused(t)


@chain_test(V311, V5, relay=True)
def a_server_of_another_authority_is_not_believed(t):
    """The wrong CA on r-proxy, and the system's: the log names the certificate and the reason, the client is told."""
    certs, other = make_certs(t), Certs(os.path.join(t.folder, 'other'))
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.one_way())
    for options in (('--trunk-tls-ca', other['ca.pem']), ('--trunk-tls-server-name', 'localhost')):
        r_proxy = t.r_proxy(s_proxy.target, *options)
        r_proxy.wait_log('an s-proxy is not believed: certificate CN = server: unable to get local issuer certificate')
        r_proxy.wait_log('cannot be used, more attempts follow')
        expect_refused(t)


@chain_test()
def clear_text_and_tls_do_not_meet(t):
    """r-proxy without TLS before an s-proxy with it, and the other way round: nobody is served, both live."""
    certs = make_certs(t)
    broker = t.mosquitto()
    for s_options, r_options in ((certs.one_way(), ()), ((), certs.client_side())):
        s_proxy = t.s_proxy([broker.url], *s_options)
        r_proxy = t.r_proxy(s_proxy.target, *r_options)
        r_proxy.wait_log('cannot be used, more attempts follow')
        expect_refused(t)
        assert s_proxy.is_running() and r_proxy.is_running()


@chain_test()
def an_r_proxy_without_a_good_certificate_is_not_let_in(t):
    """None, revoked, of another authority, a server's, expired: refused before the first byte of HTTP/2, named in the log,
    counted; one that is good still comes in."""
    certs, other = make_certs(t), Certs(os.path.join(t.folder, 'other'))
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    for folder, name, words in ((certs, None, 'it has shown no certificate'),
                                (certs, 'revoked', 'certificate CN = revoked: certificate revoked'),
                                (other, 'r-proxy', 'certificate CN = r-proxy: unable to get local issuer certificate'),
                                (certs, 'server', 'certificate CN = server: unsuitable certificate purpose')):
        refused = s_proxy.metric('sproxy_handshakes_refused_total')
        since = s_proxy.mark()
        r_proxy = t.r_proxy(s_proxy.target, *folder.client_side('--workers', '1', '--trunk-tls-ca', certs['ca.pem'], name=name))
        s_proxy.wait_log(f'a connection is refused: {words}', since)
        expect_refused(t)
        r_proxy.stop()
        assert s_proxy.metric('sproxy_handshakes_refused_total') > refused
    try_with(certs, s_proxy.address, '-cert', certs['expired.pem'], '-key', certs['expired-key.pem'])
    s_proxy.wait_log('a connection is refused: certificate CN = expired: certificate has expired')
    assert s_proxy.metric('sproxy_trunks_opened_total') == 0
    t.r_proxy(s_proxy.target, *certs.client_side())
    t.served('good').fence()


@chain_test()
def tls_is_1_2_or_1_3_with_h2(t):
    """openssl s_client: 1.2 and 1.3 are agreed on, with ALPN h2; 1.1 is not, nor a client that wants another protocol."""
    certs = make_certs(t)
    s_proxy = t.s_proxy(['mqtt://127.0.0.1:1'], *certs.one_way())
    for version in ('1_2', '1_3'):
        code, out, _ = try_with(certs, s_proxy.address, f'-tls{version}')
        assert code == 0 and b'ALPN protocol: h2' in out and b'Verify return code: 0 (ok)' in out, out
    code, out, _ = try_with(certs, s_proxy.address, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0')
    assert code != 0 and b'Cipher is (NONE)' in out, out
    s_proxy.wait_log('unsupported protocol')
    t.r_proxy(s_proxy.target, *certs.client_side(name=None)).wait_log('trunk .* is up')


@chain_test()
def files_that_are_no_good_are_named(t):
    """Missing, cut, foreign, expired: exit status 1, and the log says which file and why."""
    certs = make_certs(t)
    with open(certs['server.pem'], encoding='ascii') as whole:
        certs.write('cut.pem', whole.read()[:-40])
    for name, options, words in (
            ('s-proxy', ('--trunk-tls-cert', certs['none.pem'], '--trunk-tls-key', certs['server-key.pem']),
             'none.pem: No such file or directory'),
            ('s-proxy', ('--trunk-tls-cert', certs['cut.pem'], '--trunk-tls-key', certs['server-key.pem']), 'cut.pem: bad end line'),
            ('s-proxy', ('--trunk-tls-cert', certs['server.pem'], '--trunk-tls-key', certs['client-key.pem']),
             'client-key.pem: is not the key of certificate CN = server'),
            ('s-proxy', certs.server_side(name='expired'), 'expired.pem: certificate CN = expired has expired at '),
            ('s-proxy', certs.server_side('--trunk-tls-crl', certs['ca.pem']), 'ca.pem: no revocation list in it'),
            ('s-proxy', ('--trunk-tokens-file', certs['none']), 'trunk-tokens-file: .*none: No such file'),
            ('r-proxy', certs.client_side(name='expired'), 'expired.pem: certificate CN = expired has expired at '),
            ('r-proxy', ('--trunk-tls-ca', certs['cut.pem']), 'cut.pem: certificate 1: bad end line'),
            ('r-proxy', ('--trunk-token-file', certs.write('token', 'a b\n')), 'token, line 1: not a token')):
        listen = dict(ready=False)
        program = t.s_proxy(['mqtt://127.0.0.1:1'], *options, **listen) if name == 's-proxy' else t.r_proxy('[::1]:1', *options, **listen)
        program.wait_log(words)
        assert program.wait_exit() == 1
        t.programs.remove(program)


@chain_test()
def a_secret_that_others_can_read_is_a_warning(t):
    """Keys and tokens with mode 0640 or 0604: a warning at start and on SIGHUP, and all goes on; with 0600 none."""
    certs = make_certs(t)
    tokens, token = certs.write('tokens', 'first\n'), certs.write('token', 'first\n')
    sides = (certs.server_side('--trunk-tokens-file', tokens), certs.client_side('--trunk-token-file', token))
    _, s_proxy, r_proxy = t.chain(s_options=sides[0], r_options=sides[1])
    t.served('c')
    assert 'chmod 600' not in s_proxy.log() + r_proxy.log()
    for name, mode in (('server-key.pem', 0o640), ('tokens', 0o604), ('r-proxy-key.pem', 0o604), ('token', 0o640)):
        os.chmod(certs[name], mode)
    for program, words in ((s_proxy, ('trunk-tls-key: .*server-key.pem can be .*mode 640', 'trunk-tokens-file: .*mode 604')),
                           (r_proxy, ('trunk-tls-key: .*r-proxy-key.pem can be .*mode 604', 'trunk-token-file: .*mode 640'))):
        since = program.mark()
        program.signal(signal.SIGHUP)
        for word in words:
            program.wait_log(word, since)
    _, s_proxy, r_proxy = t.chain(s_options=sides[0], r_options=sides[1])
    t.served('d')
    assert s_proxy.log().count('chmod 600') == 2 and r_proxy.log().count('chmod 600') == 2


@chain_test()
def a_port_in_clear_text_is_a_warning(t):
    """0.0.0.0 without TLS: one line at start, and one for tokens; with TLS, and on loopback, none."""
    certs = make_certs(t)
    tokens = certs.write('tokens', 'first\n')
    for listen, options, words in (('0.0.0.0:0', (), ['gRPC on 0.0.0.0:0 is in clear text']),
                                   ('0.0.0.0:0', ('--trunk-tokens-file', tokens),
                                    ['tokens of r-proxies come in clear text', 'gRPC on 0.0.0.0:0 is in clear text']),
                                   ('0.0.0.0:0', certs.one_way('--trunk-tokens-file', tokens), []), ('127.0.0.1:0', (), [])):
        s_proxy = t.s_proxy(['mqtt://127.0.0.1:1'], *options, listen=listen)
        found = [line for line in s_proxy.log().split('\n') if 'clear text' in line]
        assert len(found) == len(words) and all(word in line for word, line in zip(words, found)), found


@chain_test()
def a_handshake_that_stalls_is_closed(t):
    """Nothing, or the first byte, and then silence: closed within 10 s, while others come in."""
    certs = make_certs(t)
    s_proxy = t.s_proxy([t.mosquitto().url], *certs.server_side())
    silent = [connect_to(s_proxy.address) for _ in range(50)]
    for sock in silent[25:]:
        sock.sendall(b'\x16')
    t.r_proxy(s_proxy.target, *certs.client_side())
    t.served('c').fence()
    began = time.monotonic()
    for sock in silent:
        sock.settimeout(PATIENCE)
        try:
            assert sock.recv(1) == b''
        except ConnectionResetError:
            pass
        sock.close()
    assert time.monotonic() - began < 20


@chain_test()
def options_that_need_each_other_say_so(t):
    """A certificate without key, a CA without certificate, names without CA: refused with the missing one's name."""
    for name, options, words in (
            ('s-proxy', ('--trunk-tls-cert', 'a'), 'trunk-tls-key is needed too'),
            ('s-proxy', ('--trunk-tls-key', 'a'), 'trunk-tls-cert is needed too'),
            ('s-proxy', ('--trunk-tls-client-ca', 'a'), 'trunk-tls-cert and trunk-tls-key are needed too'),
            ('s-proxy', ('--trunk-tls-cert', 'a', '--trunk-tls-key', 'b', '--trunk-tls-crl', 'c'), 'trunk-tls-client-ca is needed'),
            ('s-proxy', ('--trunk-allow-names', 'a'), 'trunk-tls-client-ca is needed too'),
            ('s-proxy', ('--trunk-allow-names', 'a*b'), r'\* stands for the rest'),
            ('r-proxy', ('--trunk-tls-cert', 'a'), 'trunk-tls-key is needed too'),
            ('r-proxy', ('--trunk-tls-key', 'a'), 'trunk-tls-cert is needed too'),
            ('r-proxy', ('--trunk-tls-server-name', 'a:1'), 'a name without port'),
            ('r-proxy', ('--trunk-http-proxy', 'https://user:sesame@a'), 'trunk-http-proxy')):
        code, _, error = run_command([t.binary(name), '--check-config', *options])
        assert code == 1 and words.replace('\\', '') in error and 'sesame' not in error, (options, error)


# ---- who may open a trunk


@chain_test(V311, V5, relay=True)
def a_token_is_needed_where_tokens_are_given(t):
    """None, a wrong one, a right one: UNAUTHENTICATED with a text, a counter and a line that names the peer; tokens are in no log."""
    certs = make_certs(t)
    tokens = certs.write('tokens', '# two sites\neast-0123456789\nwest/0123456789==\n')
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.one_way('--trunk-tokens-file', tokens))
    for shown, words in ((None, 'a token is needed'), ('north-0123456789', 'this token is not valid here')):
        since = s_proxy.mark()
        options = () if shown is None else ('--trunk-token-file', certs.write('token', shown + '\n'))
        t.r_proxy(s_proxy.target, *certs.client_side(*options, name=None))
        got = expect_refused(t, not_let_in(t))
        assert t.version != V5 or words in got.prop('reason_string'), got
        s_proxy.wait_log(rf'r-proxy ipv4:127.0.0.1:\d+ "" is refused \(UNAUTHENTICATED\): {words}', since)
        assert s_proxy.metric('sproxy_r_proxies_refused_total') > 0
    for shown in ('east-0123456789', 'west/0123456789=='):
        r_proxy = t.r_proxy(s_proxy.target, *certs.client_side('--trunk-token-file', certs.write('token', shown), name=None))
        t.served(shown).fence()
        assert '0123456789' not in s_proxy.log() + r_proxy.log()


@chain_test(relay=True)
def only_names_that_are_allowed_come_in(t):
    """--trunk-allow-names: common name, URI, URI with *: let in; others PERMISSION_DENIED, with the certificate's name."""
    certs = make_certs(t)
    broker = t.mosquitto()
    for names, is_allowed in ((['r-proxy'], True), (['spiffe://mqtt.example/r-proxy'], True), (['x', 'spiffe://mqtt.example/*'], True),
                              (['r-prox'], False), (['client', 'spiffe://mqtt.example/r'], False)):
        options = [word for name in names for word in ('--trunk-allow-names', name)]
        s_proxy = t.s_proxy([broker.url], *certs.server_side(*options))
        t.r_proxy(s_proxy.target, *certs.client_side())
        if is_allowed:
            t.served(names[-1]).fence()
            assert s_proxy.metric('sproxy_r_proxies_refused_total') == 0
        else:
            expect_refused(t, not_let_in(t))
            s_proxy.wait_log(r'r-proxy ipv4:127.0.0.1:\d+ "r-proxy" is refused \(PERMISSION_DENIED\): no name')


@chain_test()
def tokens_and_names_change_on_sighup(t):
    """A new tokens file, a new list of names in the file of options: who is in stays, who comes is judged by the new ones; a
    broken tokens file changes nothing and says so."""
    certs = make_certs(t)
    tokens, token = certs.write('tokens', 'first\n'), certs.write('token', 'first\n')
    broker = t.mosquitto()
    config = certs.write('s-proxy.yaml', 'trunk-allow-names: [r-proxy]\n')
    s_proxy = t.s_proxy([broker.url], *certs.server_side('--trunk-tokens-file', tokens, '-c', config))
    r_proxy = t.r_proxy(s_proxy.target, *certs.client_side('--trunk-token-file', token, '--workers', '1'))
    c = t.served('c')

    def reload(program, words='SIGHUP'):
        since = program.mark()
        program.signal(signal.SIGHUP)
        program.wait_log(words, since)
        program.wait_log('SIGHUP', since)

    def second(shown, *options):
        since = s_proxy.mark()
        other = t.r_proxy(s_proxy.target, *certs.client_side('--trunk-token-file', certs.write('other', shown), *options))
        return other, since

    certs.write('tokens', 'second\n')
    reload(s_proxy)
    _, since = second('first')
    s_proxy.wait_log('this token is not valid here', since)
    second('second')
    t.served('d').fence()
    certs.write('tokens', 'no token\n')
    reload(s_proxy, 'tokens, names and identities of r-proxies are kept as they were: .*tokens, line 1: not a token')
    certs.write('tokens', 'third\n')
    certs.write('s-proxy.yaml', 'trunk-allow-names: [client]\n')
    reload(s_proxy)
    _, since = second('third')
    s_proxy.wait_log(r'"r-proxy" is refused \(PERMISSION_DENIED\)', since)
    certs.write('token', 'third\n')
    certs.write('s-proxy.yaml', 'trunk-allow-names: [r-proxy]\n')
    reload(s_proxy)
    reload(r_proxy)
    c.fence()
    assert r_proxy.metric('rproxy_trunks_opened_total') == 1


# ---- an HTTP proxy between


@chain_test(V311, V5, relay=True)
def an_http_proxy_is_asked_for_the_name(t):
    """--trunk-http-proxy, without and with a password: CONNECT with the target's name, which r-proxy does not look up, then TLS
    with that name; the password is in no log."""
    certs = make_certs(t)
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    target = f'localhost:{s_proxy.address[1]}'
    for login in (None, ('user', 'sesame')):
        proxy = t.add(Tinyproxy(t.folder, login))
        r_proxy = t.r_proxy(target, *certs.client_side('--trunk-http-proxy', proxy.url))
        r_proxy.wait_log(f's_proxy={target} through=ipv4:127.0.0.1:{proxy.port}: ')
        c = t.served(f'c{login}')
        c.subscribe((t.topic('a'), 1))
        c.send(wire.publish(t.version, t.topic('a'), b'x' * 300_000))
        c.receive(t.topic('a'), b'x' * 300_000)
        proxy.wait_log(f'CONNECT {target} HTTP')
        assert 'sesame' not in r_proxy.log()


@chain_test()
def an_http_proxy_that_refuses_is_named_with_its_answer(t):
    """A wrong password, none, a name that the proxy does not find, no proxy: the log says what it answered, clients are told."""
    proxy = t.add(Tinyproxy(t.folder, ('user', 'sesame')))
    for target, url, words in (
            ('localhost:1', f'http://127.0.0.1:{proxy.port}', 'HTTP proxy returned response code 407'),
            ('localhost:1', f'http://user:wrong@127.0.0.1:{proxy.port}', 'HTTP proxy returned response code 40[17]'),
            ('no.such.invalid:1', proxy.url, 'HTTP proxy returned response code 50'),
            ('localhost:1', 'http://127.0.0.1:1', 'Connection refused')):
        r_proxy = t.r_proxy(target, '--trunk-http-proxy', url)
        r_proxy.wait_log(f's_proxy={target} through=.*cannot be used, more attempts follow: .*{words}')
        expect_refused(t)
        assert 'sesame' not in r_proxy.log() and 'wrong' not in r_proxy.log()


@chain_test()
def the_environment_names_an_http_proxy(t):
    """https_proxy: used for a name that is not this machine's; no_proxy and loopback are exceptions; the option beats it."""
    certs = make_certs(t, '--host', 'cloud.invalid')
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    proxy = t.add(Tinyproxy(t.folder, ('user', 'sesame')))
    env = {'https_proxy': proxy.url}
    r_proxy = t.r_proxy('cloud.invalid:1', *certs.client_side(), env=env)
    proxy.wait_log('CONNECT cloud.invalid:1 HTTP')
    r_proxy.wait_log('s_proxy=cloud.invalid:1 through=.*HTTP proxy returned')
    r_proxy = t.r_proxy('cloud.invalid:1', *certs.client_side(), env={**env, 'no_proxy': 'example,.invalid'})
    r_proxy.wait_log('name=cloud.invalid: no address')
    since = proxy.mark()
    t.r_proxy(s_proxy.target, *certs.client_side(), env=env)
    t.served('direct').fence()
    assert 'CONNECT 127' not in '\n'.join(str(line) for line in proxy.lines[since:])
    other = t.add(Tinyproxy(t.folder))
    t.r_proxy(s_proxy.target, *certs.client_side('--trunk-http-proxy', other.url), env=env)
    t.served('option').fence()
    other.wait_log(f'CONNECT {s_proxy.target} HTTP')
