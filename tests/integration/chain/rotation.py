"""Files of TLS change under live traffic, on every leg: nobody is closed and nothing is lost, who comes is judged by what is new,
and a file that is no good changes nothing and is named."""

import os
import shutil
import signal

from lib.case import chain_test
from lib.certs import Certs
from lib.load import Loads
from lib.peer import connect_to
from lib.programs import run_command
from lib.tls_peer import TlsPeer, context

CLIENTS = 10
KEYS = {'pump-1': '00112233445566778899aabbccddeeff', 'pump-2': 'ffeeddccbbaa99887766554433221100'}


def make_certs(t, name='certs'):
    return Certs(os.path.join(t.folder, name))


def twin(t, certs):
    """The same files again, for another program."""
    shutil.copytree(certs.folder, os.path.join(t.folder, 'twin'))
    return make_certs(t, 'twin')


def write_psk(certs, identity):
    return certs.write('psk', f'{identity}:{KEYS[identity]}\n')


def reload(program, words):
    since = program.mark()
    program.signal(signal.SIGHUP)
    program.wait_log(words, since)


def check_broken(program, certs, rows, words, check):
    """ROWS: (file, what becomes of it, what is said). Each is told, behind WORDS, and CHECK() finds all as it was."""
    for name, content, said in rows:
        good = certs.read(name).decode()
        certs.write(name, content)
        reload(program, f'ERROR.*{words}.*{name}.*{said}')
        check()
        certs.write(name, good)


def cut(certs, name):
    """All but the end of the last line."""
    return certs.read(name).decode()[:-20]


def expect_nobody_lost(loads, front):
    loads.stop()
    assert front.count('clients_lost_total') == 0


# ---- clients before r-proxy and our broker


def tls_listener(t, certs):
    t.tls = certs.context()
    options = certs.mutual_door('--tls-psk-file', write_psk(certs, 'pump-1'))
    return t.front(*options, listens=('mqtts://127.0.0.1:0',))


def may_enter(front, identity):
    """Whether this pre-shared key opens the listener."""
    code, _, _ = run_command(['mosquitto_pub', '-h', 'localhost', '-p', str(front.address[1]), '-t', 'x', '-m', 'y', '-q', '1',
                              '--psk-identity', identity, '--psk', KEYS[identity]])
    return code == 0


@chain_test(front=True)
def broken_files_of_a_listener_change_nothing(t):
    """Certificate, key, CA, revocation list, pre-shared keys: cut, empty, another's."""
    certs = make_certs(t)
    front = tls_listener(t, certs)
    loads = Loads(t, CLIENTS)

    def check():
        with t.tls.wrap_socket(connect_to(front.address), server_hostname='localhost') as sock:
            assert sock.getpeercert()

    check_broken(front, certs, (
        ('server.pem', cut(certs, 'server.pem'), 'bad end line'), ('server.pem', '', 'no start line'),
        ('server-key.pem', cut(certs, 'server-key.pem'), ''),
        ('server-key.pem', certs.read('client-key.pem').decode(), 'key values mismatch'),
        ('ca.pem', cut(certs, 'ca.pem'), 'bad end line'), ('ca.pem', '', 'no certificate or crl found'),
        ('crl.pem', cut(certs, 'crl.pem'), 'bad end line'), ('crl.pem', certs.read('ca.pem').decode(), ''),
        ('psk', f'pump-1:{KEYS["pump-1"]}\npump-2\n', 'line 2'), ('psk', '', '')), 'those of before stay in use', check)
    reload(front, 'TLS files read again, certificate CN=server')
    t.served('late').fence()
    expect_nobody_lost(loads, front)


@chain_test(front=True)
def new_files_of_a_listener_are_for_whoever_comes(t):
    """All of them become those of another authority: old certificates and keys open it no more, new ones do."""
    certs, other = make_certs(t), make_certs(t, 'other')
    before = twin(t, certs)
    front = tls_listener(t, certs)
    loads = Loads(t, CLIENTS)
    assert may_enter(front, 'pump-1') and not may_enter(front, 'pump-2')
    for name in ('server', 'server-key', 'ca', 'crl'):
        certs.replace(f'{name}.pem', other[f'{name}.pem'])
    write_psk(certs, 'pump-2')
    reload(front, 'TLS files read again')
    assert may_enter(front, 'pump-2') and not may_enter(front, 'pump-1')
    t.tls = other.context()
    t.served('new').fence()
    for folder, name, alert in ((before, 'client', 'TLSV1_ALERT_UNKNOWN_CA'), (other, 'revoked', 'SSLV3_ALERT_CERTIFICATE_REVOKED')):
        made = context(False, cert=folder[f'{name}.pem'], key=folder[f'{name}-key.pem'])
        assert TlsPeer(connect_to(front.address), made).verdict() == alert
    expect_nobody_lost(loads, front)


@chain_test(front=True)
def a_listener_sees_new_files_by_itself(t):
    """A new certificate with its key, without a signal."""
    certs = make_certs(t)
    front = tls_listener(t, certs)
    loads = Loads(t, CLIENTS)
    since = front.mark()
    certs.renew('server')
    front.wait_log('TLS files read again, certificate CN=server', since)
    expect_nobody_lost(loads, front)


# ---- s-proxy before brokers


def strict_broker(t, certs):
    """The URL of a mosquitto that wants a certificate."""
    return t.tls_mosquitto(certs, 'require_certificate true')[1]


@chain_test()
def broken_files_towards_brokers_change_nothing(t):
    """Certificate, key, CA, revocation list: cut, empty, another's."""
    certs = make_certs(t)
    url = strict_broker(t, twin(t, certs))
    s_proxy = t.s_proxy([url], *certs.upstream('--upstream-tls-crl', certs['crl.pem'], name='r-proxy'))
    r_proxy = t.r_proxy(s_proxy.target)
    loads = Loads(t, CLIENTS)
    check_broken(s_proxy, certs, (
        ('r-proxy.pem', cut(certs, 'r-proxy.pem'), 'bad end line'),
        ('r-proxy-key.pem', certs.read('client-key.pem').decode(), 'key values mismatch'),
        ('ca.pem', cut(certs, 'ca.pem'), 'bad end line'), ('ca.pem', '', 'no certificate or crl found'),
        ('crl.pem', cut(certs, 'crl.pem'), 'bad end line')),
        'upstream TLS: .*those of before stay in use', lambda: t.connected('new').disconnect())
    reload(s_proxy, 'upstream TLS: files read again')
    expect_nobody_lost(loads, r_proxy)


@chain_test()
def new_files_towards_brokers_are_for_new_connections(t):
    """All become those of another authority: the broker that was believed is not any more, and one of the new authority, which
    wants a certificate of it, is."""
    certs, other = make_certs(t), make_certs(t, 'other')
    brokers = [strict_broker(t, twin(t, certs)), strict_broker(t, other)]
    s_proxy = t.s_proxy(brokers, *certs.upstream('--upstream-tls-crl', certs['crl.pem'], name='r-proxy'))
    r_proxy = t.r_proxy(s_proxy.target)
    loads = Loads(t, CLIENTS)
    for name in ('r-proxy', 'r-proxy-key', 'ca', 'crl'):
        certs.replace(f'{name}.pem', other[f'{name}.pem'])
    reload(s_proxy, 'upstream TLS: files read again')
    since = s_proxy.mark()
    t.served('new').fence()
    s_proxy.wait_log(f'live at {brokers[1]}', since)
    expect_nobody_lost(loads, r_proxy)


# ---- trunks


@chain_test()
def broken_files_of_trunks_change_nothing(t):
    """Certificate, key, CA, revocation list of s-proxy, the first three of r-proxy: cut, empty, another's, expired."""
    certs = make_certs(t)
    mine = twin(t, certs)
    _, s_proxy, r_proxy = t.chain(s_options=certs.server_side(), r_options=mine.client_side('--workers', '1'))
    loads = Loads(t, CLIENTS)

    def rows(folder, name):
        return ((f'{name}.pem', cut(folder, f'{name}.pem'), 'bad end line'), (f'{name}.pem', '', 'no certificate in it'),
                (f'{name}.pem', folder.read('expired.pem').decode(), 'has expired at'),
                (f'{name}-key.pem', folder.read('client-key.pem').decode(), 'is not the key of certificate'),
                ('ca.pem', cut(folder, 'ca.pem'), 'bad end line'), ('ca.pem', '', 'no certificate in it'))

    words = 'trunk TLS: what was used before is still used'
    check_broken(r_proxy, mine, rows(mine, 'r-proxy'), words, loads.check)
    check_broken(s_proxy, certs, (*rows(certs, 'server'), ('crl.pem', cut(certs, 'crl.pem'), 'bad end line')), words, loads.check)
    # while the last of them is broken
    whole = certs.read('server.pem').decode()
    since = s_proxy.mark()
    certs.write('server.pem', whole[:len(whole) // 2])
    s_proxy.wait_log(f'ERROR.*{words}: .*server.pem: ', since)
    t.r_proxy(s_proxy.target, *mine.client_side('--workers', '1')).wait_log('trunk .* is up')
    loads.stop()
    r_proxy.assert_metrics(rproxy_trunks_opened_total=1)


@chain_test()
def new_files_of_trunks_are_for_new_trunks(t):
    """Server's, r-proxy's certificates and keys, the CA, and the revocation list are replaced under load: no
    session closes, no trunk ends, and new trunks use what is new."""
    certs, other = make_certs(t), make_certs(t, 'other')
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    r_proxy = t.r_proxy(s_proxy.target, *certs.client_side('--workers', '1'))
    loads = Loads(t, CLIENTS)
    marks = {program: program.mark() for program in (s_proxy, r_proxy)}
    for name in ('ca', 'crl', 'server-key', 'server', 'r-proxy-key', 'r-proxy'):
        certs.replace(f'{name}.pem', other[f'{name}.pem'])
    for program, since in marks.items():
        program.wait_log('trunk TLS: read again: certificate', since)
        since = program.mark()
        program.signal(signal.SIGHUP)
        program.wait_log('trunk TLS: read again: certificate', since)
    while True:                                 # libgrpc looks once a second
        code, out, _ = run_command(['openssl', 's_client', '-connect', '127.0.0.1:%d' % s_proxy.address[1], '-alpn', 'h2',
                                    '-CAfile', other['ca.pem']])
        if b'Verify return code: 0 (ok)' in out:
            break
    t.r_proxy(s_proxy.target, *other.client_side('--workers', '1')).wait_log('trunk .* is up')
    s_proxy.wait_metric('sproxy_trunks_open', 2)
    loads.stop()
    r_proxy.assert_metrics(rproxy_trunks_opened_total=1, rproxy_trunks_open=1)
    r_proxy.assert_metrics(rproxy_clients_lost_total=0)
