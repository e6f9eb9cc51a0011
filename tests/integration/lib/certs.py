"""Certificates of a test, made by deploy/certs."""

import os
import shutil
import ssl

from .programs import HERE, run_command

TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SCRIPT = os.path.join(TOP, 'deploy', 'certs')


def run_openssl(*arguments):
    code, out, error = run_command(['openssl', *arguments])
    assert code == 0, error
    return out


class Certs:
    """A folder with everything that deploy/certs makes: certs['server.pem'] is a path."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.make(*options)

    def make(self, *options):
        code, out, error = run_command([SCRIPT, *options, self.folder])
        assert code == 0, error
        return out.decode()

    def __getitem__(self, name):
        return os.path.join(self.folder, name)

    # ---- options. NAME: whose certificate is shown; None: nobody's

    def pair(self, prefix, name):
        return () if name is None else (f'--{prefix}-cert', self[f'{name}.pem'], f'--{prefix}-key', self[f'{name}-key.pem'])

    def door(self, *options, name='server'):
        """Of r-proxy's listener."""
        return (*self.pair('tls', name), *options)

    def mutual_door(self, *options):
        return self.door('--tls-client-ca', self['ca.pem'], '--tls-crl', self['crl.pem'], *options)

    def upstream(self, *options, name=None):
        """Of s-proxy, before brokers."""
        return ('--upstream-tls-ca', self['ca.pem'], *self.pair('upstream-tls', name), *options)

    def one_way(self, *options, name='server'):
        """Of s-proxy, which asks r-proxies for no certificate."""
        return (*self.pair('trunk-tls', name), *options)

    def server_side(self, *options, name='server'):
        """Of s-proxy, with mutual authentication."""
        return self.one_way('--trunk-tls-client-ca', self['ca.pem'], '--trunk-tls-crl', self['crl.pem'], *options, name=name)

    def client_side(self, *options, name='r-proxy'):
        """Of r-proxy, before s-proxies."""
        return ('--trunk-tls-ca', self['ca.pem'], *self.pair('trunk-tls', name), *options)

    def context(self, name='client'):
        """Of raw clients (Case.tls)."""
        made = ssl.create_default_context(cafile=self['ca.pem'])
        if name:
            made.load_cert_chain(self[f'{name}.pem'], self[f'{name}-key.pem'])
        return made

    # ---- files

    def sign(self, name, key='ec:P-256', digest='sha256', names='DNS:localhost,IP:127.0.0.1',
             usage='serverAuth,clientAuth', authority=('ca.pem', 'ca/key.pem')):
        """A certificate that deploy/certs does not make: NAME.pem and NAME-key.pem."""
        request, extensions = self[f'{name}.csr'], self.write(f'{name}.ext', f'subjectAltName={names}\nextendedKeyUsage={usage}\n')
        kind, size = key.split(':')
        made = ['ec', '-pkeyopt', f'ec_paramgen_curve:{size}'] if kind == 'ec' else [key]
        run_openssl('req', '-new', '-newkey', *made, '-nodes', '-keyout', self[f'{name}-key.pem'], '-subj', f'/CN={name}',
                    '-out', request)
        run_openssl('x509', '-req', f'-{digest}', '-in', request, '-CA', self[authority[0]], '-CAkey', self[authority[1]],
                    '-CAcreateserial', '-days', '2', '-extfile', extensions, '-out', self[f'{name}.pem'])
        os.chmod(self[f'{name}-key.pem'], 0o600)
        return self

    def add_authority(self, name, key='rsa:2048'):
        """Another one, believed beside the first: NAME.pem and NAME-key.pem."""
        run_openssl('req', '-new', '-x509', '-newkey', key, '-nodes', '-keyout', self[f'{name}-key.pem'], '-subj', f'/CN={name}',
                    '-days', '2', '-out', self[f'{name}.pem'])
        self.write('ca.pem', (self.read('ca.pem') + self.read(f'{name}.pem')).decode())
        return self

    def renew(self, name):
        """Another certificate and key of the same kind in their place."""
        os.remove(self[f'{name}.pem'])
        assert f'{name}.pem' in self.make()

    def replace(self, name, source):
        """The file NAME becomes a copy of SOURCE, at once as a rename does it."""
        shutil.copy(source, self[name] + '.new')
        os.rename(self[name] + '.new', self[name])

    def write(self, name, text):
        """A file of its own; returns the path."""
        with open(self[name] + '.new', 'w', encoding='utf-8') as out:
            out.write(text)
        os.chmod(self[name] + '.new', 0o600)
        os.rename(self[name] + '.new', self[name])
        return self[name]

    def read(self, name):
        with open(self[name], 'rb') as content:
            return content.read()
