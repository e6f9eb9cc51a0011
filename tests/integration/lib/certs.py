"""Certificates of a test, made by deploy/certs."""

import os
import shutil

from .programs import HERE, run_command

TOP = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SCRIPT = os.path.join(TOP, 'deploy', 'certs')


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
