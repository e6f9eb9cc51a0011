"""The example of README.md in which every leg is encrypted and both sides of it are known, run as it stands there."""

import os
import re
import shlex
import signal
import ssl

from lib.case import chain_test
from lib.certs import TOP, Certs
from lib.load import Loads
from lib.peer import connect_to
from lib.programs import READY, Program, free_port, run_command, user_name
from lib.tls_peer import TlsPeer
from lib.websocket import WebSocket

HEADING = '## Everything encrypted, everybody known'
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PORTS = ('8883', '8443', '50516', '8884')
WORKERS = 2


class Site:
    """A folder with the files of the example, their ports free ones, and what runs there."""

    def __init__(self, t):
        self.t, self.folder = t, os.path.join(t.folder, 'site')
        os.mkdir(self.folder)
        with open(os.path.join(TOP, 'README.md'), encoding='utf-8') as readme:
            text = readme.read().split(f'\n{HEADING}\n')[1].split('\n## ')[0]
        self.port = {port: free_port() for port in PORTS}
        for port, free in self.port.items():
            assert port in text, f'where is port {port}?'
            text = re.sub(rf'\b{port}\b', str(free), text)
        for kind, body in BLOCK.findall(text):
            if kind == 'sh':
                self.commands = [shlex.split(line, comments=True) for line in body.splitlines()]
            else:
                self.write(re.match(r'# (\S+)\n', body).group(1), body)

    def write(self, name, body):
        with open(os.path.join(self.folder, name), 'w', encoding='utf-8') as out:
            out.write(body)

    def command(self, name):
        """The line that runs NAME."""
        return next(line for line in self.commands if os.path.basename(line[0]) == name)

    def run(self, name):
        argv = self.command(name)
        done = run_command([os.path.join(TOP, argv[0]) if '/' in argv[0] else argv[0], *argv[1:]], cwd=self.folder)
        assert done[0] == 0, done
        return done

    def start(self, name, *options, ready=READY):
        argv = self.command(name)
        binary = self.t.binary(name) if '/' in argv[0] else argv[0]
        program = self.t.add(Program(name, [binary, *argv[1:], *options], cwd=self.folder))
        program.wait_log(ready)
        return program

    def shown(self, certs, port, alpn=None):
        """The certificate that whoever connects to PORT is shown now."""
        context = certs.context()
        if alpn:
            context.set_alpn_protocols([alpn])
        peer = TlsPeer(connect_to(('127.0.0.1', self.port[port])), context, name='localhost').handshake()
        peer.sock.close()
        return ssl.DER_cert_to_PEM_cert(peer.tls.getpeercert(True))


def rotate(t, site, certs, loads, r_proxy, s_proxy, broker):
    """Renew all certificates and keys; authority and revocation list become two of each. The proxies see it by themselves."""
    def shown():
        return [site.shown(certs, port, 'h2' if port == '50516' else None) for port in PORTS]

    other = Certs(os.path.join(t.folder, 'other'))
    before = shown()
    marks = r_proxy.mark(), s_proxy.mark()
    for name in ('server', 'client', 'r-proxy', 's-proxy'):
        certs.renew(name)
    for name in ('ca.pem', 'crl.pem'):
        certs.write(name, (certs.read(name) + other.read(name)).decode())
    broker.signal(signal.SIGHUP)
    while set(before) & set(shown()):
        loads.check()
    for port in ('8883', '8443'):
        r_proxy.wait_log(f'{site.port[port]}.*: TLS files read again', marks[0])
    r_proxy.wait_log('trunk TLS: read again', marks[0])
    s_proxy.wait_log('trunk TLS: read again', marks[1])
    s_proxy.wait_log('upstream TLS: files read again', marks[1])
    t.tls = certs.context(None)
    t.tls.load_cert_chain(other['client.pem'], other['client-key.pem'])
    t.served('of the other authority').fence()
    t.r_proxy(f'localhost:{site.port["50516"]}', *certs.client_side('--workers', '1')).wait_log('trunk .* is up')


@chain_test()
def every_leg_is_encrypted_and_everything_rotates_under_load(t):
    """The commands and files of README.md. While clients publish over mqtts:// and wss://, all certificates, keys, authorities and
    revocation lists change: nobody is closed, nothing is lost, no trunk ends, and whoever comes meets the new ones."""
    site = Site(t)
    site.run('certs')
    certs = Certs(os.path.join(site.folder, 'certs'))
    # as root mosquitto would turn into "mosquitto", who may not read the keys
    site.write('mosquitto.conf', f'user {user_name()}\nlog_dest stderr\nlog_type all\n' +
               open(os.path.join(site.folder, 'mosquitto.conf'), encoding='utf-8').read())
    broker = site.start('mosquitto', ready='mosquitto version .* running')
    s_proxy = site.start('s-proxy')
    r_proxy = site.start('r-proxy', '--workers', str(WORKERS))
    t.address, t.tls = ('127.0.0.1', site.port['8883']), certs.context()
    loads = Loads(t, 8)
    c = t.client('wss', address=('127.0.0.1', site.port['8443']))
    c.sock = WebSocket(c.sock)
    c.connect()
    site.run('mosquitto_pub')
    assert "u'client'" in broker.log()
    r_proxy.wait_metric('rproxy_trunks_open', WORKERS)
    rotate(t, site, certs, loads, r_proxy, s_proxy, broker)
    loads.stop()
    c.fence()
    r_proxy.assert_metrics(rproxy_trunks_opened_total=WORKERS)
    r_proxy.assert_metrics(rproxy_clients_lost_total=0)
