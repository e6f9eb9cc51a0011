"""deploy/certs: what people try TLS with."""

import os
import stat

from lib.case import chain_test
from lib.certs import SCRIPT, Certs
from lib.programs import run_command

NAMES = ('server', 'client', 'r-proxy', 's-proxy', 'revoked', 'expired')


def verify(certs, name, *options):
    """What openssl says of a certificate."""
    _, out, error = run_command(['openssl', 'verify', '-CAfile', certs['ca.pem'], *options, certs[f'{name}.pem']])
    return out.decode() + error


def modes(certs):
    """Of all files, also those of the authority."""
    return {os.path.relpath(os.path.join(folder, name), certs.folder): stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode)
            for folder, _, names in os.walk(certs.folder) for name in names}


@chain_test()
def certs_makes_one_of_each_kind(t):
    """Good ones are good for their use and no other, the revoked one is in the list, the expired one is expired."""
    certs = Certs(os.path.join(t.folder, 'certs'), '--host', 'cloud.example', '--host', '192.0.2.7')
    for name, purpose, other in (('server', 'sslserver', 'sslclient'), ('client', 'sslclient', 'sslserver'),
                                 ('r-proxy', 'sslclient', 'sslserver'), ('s-proxy', 'sslclient', 'sslserver')):
        assert verify(certs, name, '-purpose', purpose).endswith('OK\n'), name
        assert 'unsuitable certificate purpose' in verify(certs, name, '-purpose', other), name
    for host in ('-verify_hostname=localhost', '-verify_hostname=cloud.example', '-verify_ip=::1', '-verify_ip=192.0.2.7'):
        assert verify(certs, 'server', *host.split('=')).endswith('OK\n'), host
    assert 'mismatch' in verify(certs, 'server', '-verify_hostname', 'other.example')
    crl = ('-crl_check', '-CRLfile', certs['crl.pem'])
    assert verify(certs, 'revoked').endswith('OK\n') and 'certificate revoked' in verify(certs, 'revoked', *crl)
    assert verify(certs, 'server', *crl).endswith('OK\n')
    assert 'certificate has expired' in verify(certs, 'expired')
    _, out, _ = run_command(['openssl', 'x509', '-noout', '-subject', '-ext', 'subjectAltName', '-in', certs['r-proxy.pem']])
    assert b'CN = r-proxy' in out and b'URI:spiffe://mqtt.example/r-proxy' in out


@chain_test()
def certs_lets_nobody_else_read_keys(t):
    """Every key 0600 whatever the umask, every certificate 0644, nothing left over."""
    before = os.umask(0)
    try:
        certs = Certs(os.path.join(t.folder, 'certs'))
    finally:
        os.umask(before)
    found = modes(certs)
    keys = {'ca/key.pem', *(f'{name}-key.pem' for name in NAMES)}
    public = {'ca.pem', 'crl.pem', *(f'{name}.pem' for name in NAMES)}
    assert {name for name in found if not name.startswith('ca/')} | {'ca/key.pem'} == keys | public, found
    assert all(found[name] == 0o600 for name in keys) and all(found[name] == 0o644 for name in public), found
    assert stat.S_IMODE(os.stat(certs['ca']).st_mode) == 0o700


@chain_test()
def certs_keeps_what_is_there(t):
    """A second run changes nothing; what was removed is made anew by the same authority, and revoked again."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    names = [f'{name}{what}.pem' for name in NAMES for what in ('', '-key')] + ['ca.pem', 'crl.pem']
    before = {name: certs.read(name) for name in names}
    assert certs.make() == ''
    assert before == {name: certs.read(name) for name in names}
    for name in ('server', 'revoked'):
        certs.renew(name)
        assert certs.read(f'{name}.pem') != before[f'{name}.pem']
        assert certs.read(f'{name}-key.pem') != before[f'{name}-key.pem']
    assert verify(certs, 'server', '-purpose', 'sslserver').endswith('OK\n')
    assert 'certificate revoked' in verify(certs, 'revoked', '-crl_check', '-CRLfile', certs['crl.pem'])


@chain_test()
def certs_says_what_it_wants(t):
    """--help on stdout; mistakes end with 2 and make nothing."""
    code, out, _ = run_command([SCRIPT, '--help'])
    assert code == 0 and b'r-proxy-key.pem' in out
    folder = os.path.join(t.folder, 'certs')
    for mistake in ([], ['--hots', folder], [folder, 'b'], ['--days', '0', folder], ['--host', 'a,DNS:b', folder], ['--host'],
                    ['--ocsp', 'https://a', folder], ['--ocsp', 'http://a,URI:http://b', folder]):
        code, _, error = run_command([SCRIPT, *mistake])
        assert code == 2 and 'usage:' in error, mistake
    assert not os.path.exists(folder)
