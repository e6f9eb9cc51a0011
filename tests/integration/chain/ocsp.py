"""OCSP with openssl's responder: clients before r-proxy, brokers behind s-proxy, and what r-proxy staples."""

import os
import signal
import socket
import subprocess

from chain.proxy_headers import haproxy
from chain.tls import own, publish, s_client, tls_front, tls_r_proxy
from lib.case import chain_test
from lib.certs import Certs
from lib.programs import ENDS_WITH_PARENT, ENVIRONMENT, Plain, Responder, free_port, run_command
from lib.wire import V5


def make_certs(t):
    """Certificates that name a responder, and the port where it is to be."""
    port = free_port()
    return Certs(os.path.join(t.folder, 'certs'), '--ocsp', f'http://127.0.0.1:{port}/'), port


def strict_door(certs, mode, *options, name='server'):
    return certs.door('--tls-client-ca', certs['ca.pem'], '--tls-ocsp', mode, *options, name=name)


def forget(certs, name):
    """An index in which the certificate NAME is not."""
    _, out, _ = run_command(['openssl', 'x509', '-noout', '-serial', '-in', certs[f'{name}.pem']])
    serial = out.decode().strip().split('=')[1]
    lines = certs.read('ca/index.txt').decode().splitlines(keepends=True)
    left = [line for line in lines if serial not in line]
    assert len(left) == len(lines) - 1
    certs.write('index-without.txt', ''.join(left))
    certs.write('index-without.txt.attr', 'unique_subject = no\n')
    return 'index-without.txt'


def make_staple(certs, name, signer='responder'):
    """What the responder would say of the certificate NAME, in a file."""
    path = certs[f'{name}-{signer}.der']
    code, _, error = run_command(['openssl', 'ocsp', '-index', certs['ca/index.txt'], '-CA', certs['ca.pem'],
                                  '-rsigner', certs[f'{signer}.pem'], '-rkey', certs[f'{signer}-key.pem'],
                                  '-issuer', certs['ca.pem'], '-cert', certs[f'{name}.pem'], '-respout', path, '-nmin', '60'])
    assert code == 0, error
    return path


# ---- clients


@chain_test(front=True)
def clients_are_let_in_as_the_responder_says(t):
    """Good: in, and the answer is kept. Revoked: out, the second time with an alert. Unknown: in with soft, out with hard. All
    of it is logged and counted."""
    certs, port = make_certs(t)
    responder = t.add(Responder(certs, port, forget(certs, 'r-proxy')))
    for mode in ('soft', 'hard'):
        front = tls_front(t, *strict_door(certs, mode))
        for _ in range(2):
            code, said = publish(front.address, *own(certs, 'client'))
            assert code == 0, said
        for words in (r'revoked since 20\S+ \S+ UTC \(keyCompromise\)', 'revoked, as OCSP has told'):
            since = front.mark()
            code, said = publish(front.address, *own(certs, 'revoked'))
            assert code != 0, said
            front.wait_log(f'closed: TLS: certificate CN=revoked refused: {words}', since)
        code, said = publish(front.address, *own(certs, 'r-proxy'))
        if mode == 'soft':
            assert code == 0, said
            front.wait_log(r'mqtts://\S+: certificate CN=r-proxy is accepted unchecked: its OCSP responder does not know it')
        else:
            assert code != 0, said
            front.wait_log('closed: TLS: certificate CN=r-proxy refused: its OCSP responder does not know it')
        for name, count in (('questions', 4), ('unanswered', 0), ('revoked', 2), ('refused', int(mode == 'hard')),
                            ('unchecked', int(mode == 'soft'))):
            assert front.count(f'ocsp_{name}_total') == count, name      # the fourth is about our own
    assert responder.is_running()


@chain_test()
def a_responder_that_is_away_or_silent_closes_hard_and_opens_soft(t):
    """Nobody listens, then somebody who never answers: hard refuses whom it does not know and goes on to serve whom it knows,
    at once; soft lets in after one wait, the next at once."""
    certs, port = make_certs(t)
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    responder = t.add(Responder(certs, port))
    hard = tls_r_proxy(t, s_proxy, *strict_door(certs, 'hard'))
    soft = tls_r_proxy(t, s_proxy, *strict_door(certs, 'soft'))
    code, said = publish(hard.address, *own(certs, 'client'))
    assert code == 0, said
    responder.kill()
    code, said = publish(hard.address, *own(certs, 'r-proxy'))
    assert code != 0, said
    hard.wait_log(rf'closed: TLS: certificate CN=r-proxy refused: no OCSP answer: 127\.0\.0\.1:{port}: Connection refused')
    with socket.create_server(('127.0.0.1', port)):        # takes connections, and that is all
        started = [subprocess.Popen([*ENDS_WITH_PARENT, 'mosquitto_pub', '-h', 'localhost', '-p', str(r_proxy.address[1]), '-t', 'x',
                                     '-m', 'y', '-q', '1', *own(certs, 'r-proxy')], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
                   for r_proxy in (hard, soft)]
        code, said = publish(hard.address, *own(certs, 'client'))
        assert code == 0, said
        assert all(client.poll() is None for client in started)
        codes = [client.wait() for client in started]
        assert codes[0] != 0 and codes[1] == 0, codes
        hard.wait_log(rf'closed: TLS: certificate CN=r-proxy refused: no OCSP answer: 127\.0\.0\.1:{port}: no answer in time')
        soft.wait_log(rf'certificate CN=r-proxy is accepted unchecked: no OCSP answer: 127\.0\.0\.1:{port}: no answer in time')
        code, said = publish(soft.address, *own(certs, 'client'))
        assert code == 0, said
        soft.wait_log('certificate CN=client is accepted unchecked: its OCSP responder has not answered lately')


@chain_test()
def clients_that_ask_get_the_staple(t):
    """openssl s_client -status with TLS 1.2 and 1.3; after SIGHUP too, with the responder away; a revoked one is stapled as it
    is; without --tls-ocsp there is none."""
    certs, port = make_certs(t)
    responder = t.add(Responder(certs, port))
    r_proxy = tls_r_proxy(t, None, *strict_door(certs, 'soft', '--tls-client-auth', 'optional'))
    r_proxy.wait_log(r'OCSP response about our certificate CN=server fetched: it is good')
    revoked = tls_r_proxy(t, None, *strict_door(certs, 'soft', '--tls-client-auth', 'optional', name='revoked'))
    revoked.wait_log(r'our certificate CN=revoked is revoked since 20')
    plain = tls_r_proxy(t, None, *certs.door())

    def assert_stapled(program, *wanted):
        for version in ('-tls1_2', '-tls1_3'):
            code, out, _ = s_client(certs, program.address, '-status', version)
            assert code == 0 and all(text in out for text in wanted), out

    assert_stapled(r_proxy, b'OCSP Response Status: successful', b'Cert Status: good')
    assert_stapled(revoked, b'OCSP Response Status: successful', b'Cert Status: revoked')
    assert_stapled(plain, b'OCSP response: no response sent')
    responder.kill()
    r_proxy.signal(signal.SIGHUP)
    r_proxy.wait_log('no OCSP response about our certificate CN=server to staple: .*Connection refused')
    assert_stapled(r_proxy, b'OCSP Response Status: successful', b'Cert Status: good')
    since = r_proxy.mark()
    certs.renew('server')
    r_proxy.wait_log('TLS files read again', since)
    assert_stapled(r_proxy, b'OCSP response: no response sent')


# ---- brokers


@chain_test(V5)
def brokers_are_believed_as_the_responder_says(t):
    """mosquitto staples nothing: the responder is asked. Good is live, revoked is refused by soft too."""
    certs, port = make_certs(t)
    _, good = t.tls_mosquitto(certs)
    _, revoked = t.tls_mosquitto(certs, name='revoked')
    t.add(Responder(certs, port))
    s_proxy = t.s_proxy([revoked, good], *certs.upstream('--upstream-tls-ocsp', 'soft'))
    t.r_proxy(s_proxy.target)
    t.served('c').fence()
    s_proxy.wait_log(r'broker mqtts://.*TLS: certificate CN=revoked refused: revoked since 20\S+ \S+ UTC \(keyCompromise\)')
    s_proxy.wait_log(f'live at {good}')
    assert s_proxy.metric('sproxy_ocsp_questions_total') == 2
    assert s_proxy.metric('sproxy_ocsp_revoked_total') == 1


@chain_test(V5)
def brokers_are_believed_as_their_staple_says(t):
    """The responder is away: haproxy staples that its certificate is good, and hard is content; openssl s_server staples
    revoked, or what nobody authorised has signed."""
    certs, port = make_certs(t)
    pem = certs.write('front.pem', (certs.read('server.pem') + certs.read('server-key.pem') + certs.read('ca.pem')).decode())
    os.rename(make_staple(certs, 'server'), pem + '.ocsp')
    broker = t.mosquitto()
    front = haproxy(t, broker.address, f'ssl crt {pem}')
    s_proxy = t.s_proxy([f'mqtts://localhost:{front.port}'], *certs.upstream('--upstream-tls-ocsp', 'hard'))
    t.r_proxy(s_proxy.target)
    t.served('c').fence()
    assert s_proxy.metric('sproxy_ocsp_questions_total') == 0
    for mode, name, signer, words in (
            ('soft', 'revoked', 'responder', r'CN=revoked refused: revoked since 20\S+ \S+ UTC \(keyCompromise\)'),
            ('hard', 'server', 'client', rf'CN=server refused: no OCSP answer: 127\.0\.0\.1:{port}: Connection refused')):
        server_port = free_port()
        server = t.add(Plain('s_server', ['openssl', 's_server', '-www', '-accept', f'127.0.0.1:{server_port}', '-cert', certs[f'{name}.pem'], '-key',
                                           certs[f'{name}-key.pem'], '-status_file', make_staple(certs, name, signer)]))
        server.wait_log('ACCEPT')
        s_proxy = t.s_proxy([f'mqtts://localhost:{server_port}'], *certs.upstream('--upstream-tls-ocsp', mode))
        t.r_proxy(s_proxy.target)
        t.client('refused').connect(code=0x88)
        s_proxy.wait_log(f'broker mqtts://.*TLS: certificate {words}')
    s_proxy.wait_log('the OCSP response stapled to certificate CN=server does not count: the answer is not signed by who may do so')
    assert s_proxy.metric('sproxy_ocsp_staples_unusable_total') == 1
