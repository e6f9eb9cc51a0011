"""The programs of a test: mosquitto, s-proxy, r-proxy, relays. Each gets a free port, its own log, and an end.

A program is waited for by its log lines and its exit, never by time.
"""

import os
import pwd
import random
import re
import resource
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .peer import PATIENCE, connect_to

HERE = os.path.dirname(os.path.abspath(__file__))
SUPPORT = os.path.join(os.path.dirname(os.path.dirname(HERE)), 'support')
PYTHON = '/usr/bin/python3'
SANITIZER_EXIT = 99
ENDS_WITH_PARENT = ('setpriv', '--pdeathsig', 'KILL', '--')     # nothing is left over, however a worker ends
READY = r'\bready("|$)'             # the end of a line, or of the message in JSON
SANITIZER_WORDS = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assertion .* failed')

# What one test may not take from another: proxies and clients inherit a clean environment.
ENVIRONMENT = {
    'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8',
    'ASAN_OPTIONS': f'exitcode={SANITIZER_EXIT}:detect_leaks=1',
    'UBSAN_OPTIONS': f'exitcode={SANITIZER_EXIT}:halt_on_error=1:print_stacktrace=1',
    'LSAN_OPTIONS': f'suppressions={SUPPORT}/lsan.supp:print_suppressions=0',
    'TSAN_OPTIONS': f'exitcode={SANITIZER_EXIT}:halt_on_error=1:suppressions={SUPPORT}/tsan.supp',
}


def free_port(host='127.0.0.1'):
    """A port that stays free: the kernel gives those above to whoever connects or asks for any."""
    with open('/proc/sys/net/ipv4/ip_local_port_range', encoding='ascii') as limits:
        first_given = int(limits.read().split()[0])
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    while True:
        port = random.randrange(first_given // 2, first_given)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
                return port
            except OSError:
                pass


def raise_descriptor_limit():
    """A thousand clients need more than the usual soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Program:
    """A child process and the lines it has logged on stderr so far. Its stdout goes the same way."""

    prefix = None       # of its metrics

    def __init__(self, name, argv, env=None, limits=None, wrapper=(), cwd=None):
        """LIMITS: {RLIMIT_x: (soft, hard)}; WRAPPER: a command that runs ARGV, such as valgrind; CWD: where it runs."""
        self.name, self.argv = name, argv
        self.lines = []
        self.changed = threading.Condition()

        def before_exec():
            for which, pair in (limits or {}).items():
                resource.setrlimit(which, pair)

        self.child = subprocess.Popen([*ENDS_WITH_PARENT, *wrapper, *argv], env={**ENVIRONMENT, **(env or {})},
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
                                      preexec_fn=before_exec if limits else None)
        self.pid = self.child.pid
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()

    def read_log(self):
        for raw in self.child.stdout:
            with self.changed:
                self.lines.append(raw.decode('utf-8', 'replace').rstrip('\n'))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)         # end of the log
            self.changed.notify_all()

    # ---- its log

    def log(self):
        with self.changed:
            return '\n'.join(line for line in self.lines if line is not None)

    def mark(self):
        """A place in the log from which to wait for later lines."""
        with self.changed:
            return len(self.lines)

    def wait_log(self, pattern, since=0, patience=None):
        """The match of the first line from SINCE on; fails when the program ends before."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + (patience or PATIENCE)
        at = since
        with self.changed:
            while True:
                while at < len(self.lines):
                    line, at = self.lines[at], at + 1
                    if line is None:
                        raise AssertionError(f'{self.name} ended before it logged {pattern!r}\n{self.tail_locked()}')
                    match = expression.search(line)
                    if match:
                        return match
                if not self.changed.wait(deadline - time.monotonic()):
                    raise AssertionError(f'{self.name} did not log {pattern!r}\n{self.tail_locked()}')

    def metric(self, name):
        """What it says of this metric now."""
        since = self.mark()
        self.signal(signal.SIGUSR1)
        return int(self.wait_log(rf'metric {name} (\d+)\b', since).group(1))

    def count(self, name):
        """The metric of this name with the program's own prefix."""
        return self.metric(f'{self.prefix}_{name}')

    def wait_count(self, name, value):
        self.wait_metric(f'{self.prefix}_{name}', value)

    def wait_metric(self, name, value):
        """Ask again until it says VALUE."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.metric(name)) != value:
            assert time.monotonic() < deadline, f'{self.name}: {name} is {now}, never {value}'

    def assert_metrics(self, **values):
        """It says just this of them now."""
        found = {name: self.metric(name) for name in values}
        assert found == values, f'{self.name}: {found}, not {values}'

    def tail_locked(self, count=40):
        return '\n'.join(f'    {self.name}| {line}' for line in self.lines[-count:] if line is not None)

    def tail(self, count=40):
        with self.changed:
            return self.tail_locked(count)

    def wait_listens(self):
        """Until it serves: .listens are its listeners' addresses, .address the first."""
        self.wait_log(READY)
        self.listens = [parse_url(url) for url in re.findall(r'listening on ([^\s",]+)', self.log())]
        self.address = self.listens[0]

    def wait_listening(self, address):
        """Without a word in its log."""
        deadline = time.monotonic() + PATIENCE
        while not is_listening(address):
            assert self.is_running() and time.monotonic() < deadline, f'{self.name} does not listen\n{self.tail()}'

    # ---- its end

    def is_running(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait_exit(self, patience=None):
        """Its exit code; negative when a signal killed it."""
        try:
            code = self.child.wait(patience or PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'{self.name} does not end\n{self.tail()}') from None
        self.reader.join(PATIENCE)
        return code

    def kill(self):
        if self.is_running():
            self.child.kill()
        self.child.wait()

    def stop(self):
        """End it as an administrator would; it must comply, with 0 and without a word of a sanitizer."""
        if self.is_running():
            self.child.terminate()
        try:
            code = self.wait_exit()
        finally:
            self.kill()
        self.assert_clean()
        if code != 0:
            raise AssertionError(f'{self.name} ended with {code}\n{self.tail()}')

    def assert_clean(self):
        if SANITIZER_WORDS.search(self.log()):
            raise AssertionError(f'{self.name} reported a fault\n{self.tail(120)}')

    # ---- its measures

    def resident_bytes(self, field='VmRSS'):
        with open(f'/proc/{self.pid}/status', encoding='ascii') as status:
            for line in status:
                if line.startswith(field + ':'):
                    return int(line.split()[1]) * 1024
        raise AssertionError(f'no {field} of {self.name}')

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def wait_descriptors(self, count):
        """Until it has so many open."""
        deadline = time.monotonic() + PATIENCE
        while (now := self.descriptors()) != count:
            assert time.monotonic() < deadline, f'{self.name} has {now} descriptors open, never {count}'


class Mosquitto(Program):
    """Debian's broker with a configuration of its own, on loopback."""

    def __init__(self, folder, config='', host='127.0.0.1', port=None, anonymous=True):
        self.folder = tempfile.mkdtemp(prefix='mosquitto-', dir=folder)
        for _ in range(20):
            self.host, self.port = host, port or free_port(host)
            path = os.path.join(self.folder, 'mosquitto.conf')
            with open(path, 'w', encoding='ascii') as conf:
                # the same user: as root it would turn into "mosquitto", who may not read this folder
                conf.write(f'listener {self.port} {host}\nuser {user_name()}\n'
                           f'allow_anonymous {"true" if anonymous else "false"}\n'
                           'log_dest stderr\nlog_type all\nconnection_messages true\n' + config)
            super().__init__('mosquitto', ['mosquitto', '-c', path])
            try:
                self.wait_log(r'mosquitto version .* running')
                return
            except AssertionError:
                self.kill()
                if 'Address already in use' not in self.log():      # somebody took the port in between
                    raise
        raise AssertionError('no free port for mosquitto')

    @property
    def address(self):
        return (self.host, self.port)

    @property
    def url(self):
        return f'mqtt://{bracket(self.host)}:{self.port}'


class WsFront(Program):
    """lib/ws_front.py: WebSocket before BROKER; with TLS if there are a certificate and its key."""

    def __init__(self, broker, *cert):
        super().__init__('ws-front', [PYTHON, os.path.join(HERE, 'ws_front.py'), str(broker.port), *cert])
        self.port = int(self.wait_log(r'^port (\d+)').group(1))
        self.address = ('127.0.0.1', self.port)
        self.url = f'{"wss" if cert else "ws"}://127.0.0.1:{self.port}'


class Broker(Program):
    """Ours. Its first listener is what address and port are about."""

    prefix = 'broker'

    def __init__(self, binary, *options, listens=('mqtt://127.0.0.1:0',), **program):
        argv = [binary]
        for url in listens:
            argv += ['--listen', url]
        super().__init__('mqtt-broker', [*argv, '--log', 'debug', *options], **program)
        self.address = self.port = None

    def wait_ready(self):
        self.wait_listens()
        self.port = self.address[1] if isinstance(self.address, tuple) else None
        return self


class Tinyproxy(Program):
    """An HTTP proxy with CONNECT, on loopback; LOGIN: (user, password)."""

    def __init__(self, folder, login=None, config=''):
        path = os.path.join(tempfile.mkdtemp(prefix='tinyproxy-', dir=folder), 'tinyproxy.conf')
        self.port, self.login = free_port(), login
        with open(path, 'w', encoding='ascii') as conf:
            conf.write(f'Port {self.port}\nListen 127.0.0.1\nTimeout 600\nLogLevel Info\n{config}')
            if login:
                conf.write('BasicAuth %s %s\n' % login)
        super().__init__('tinyproxy', ['tinyproxy', '-d', '-c', path])
        self.wait_log('Accepting connections')

    @property
    def url(self):
        return 'http://%s127.0.0.1:%d' % ('%s:%s@' % self.login if self.login else '', self.port)


class Plain(Program):
    def stop(self):
        """It dies of the signal that asks it to end."""
        self.kill()


class Haproxy(Plain):
    """A balancer. CONFIG: its sections behind `global`, with {port} where it listens on loopback."""

    def __init__(self, folder, config):
        self.port = free_port()
        self.address = ('127.0.0.1', self.port)
        path = os.path.join(tempfile.mkdtemp(prefix='haproxy-', dir=folder), 'haproxy.cfg')
        with open(path, 'w', encoding='ascii') as conf:
            conf.write('global\n    log stdout format raw local0\n' + config.replace('{port}', str(self.port)))
        super().__init__('haproxy', ['haproxy', '-db', '-f', path])
        self.wait_listening(self.address)


class Responder(Plain):
    """openssl's OCSP responder for the authority of CERTS, at PORT; INDEX: what it knows of certificates."""

    def __init__(self, certs, port, index='ca/index.txt'):
        super().__init__('responder', ['openssl', 'ocsp', '-port', str(port), '-index', certs[index], '-CA', certs['ca.pem'],
                                       '-rsigner', certs['responder.pem'], '-rkey', certs['responder-key.pem'], '-nmin', '60'])
        self.wait_log('waiting for OCSP client connections')


class Nginx(Program):
    """A balancer. CONFIG: what stands in `http`, with {port} where it listens on loopback."""

    def __init__(self, folder, config):
        self.port = free_port()
        self.address = ('127.0.0.1', self.port)
        folder = tempfile.mkdtemp(prefix='nginx-', dir=folder)
        path = os.path.join(folder, 'nginx.conf')
        with open(path, 'w', encoding='ascii') as conf:
            conf.write(f'daemon off;\nuser {user_name()};\nworker_processes 1;\npid nginx.pid;\nerror_log stderr info;\n'
                       'events {}\nhttp {\naccess_log off;\n' + config.replace('{port}', str(self.port)) + '\n}\n')
        super().__init__('nginx', ['nginx', '-p', folder, '-e', 'stderr', '-c', path])
        self.wait_listening(self.address)

    def reload(self):
        """Another worker process takes new connections, the one before goes on with those it has."""
        since = self.mark()
        self.signal(signal.SIGHUP)
        self.wait_log('gracefully shutting down', since)

    def kill(self):
        """Killed, it would leave its worker processes behind."""
        if self.is_running():
            self.child.terminate()
            try:
                self.child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pass
        super().kill()


class SProxy(Program):
    def __init__(self, binary, upstreams, *options, listen='127.0.0.1:0', **program):
        argv = [binary, '--listen-grpc', listen]
        for url in upstreams:
            argv += ['--upstream', url]
        super().__init__('s-proxy', argv + list(options), **program)

    def wait_ready(self):
        self.target = self.wait_log(r'serving gRPC on ([^\s"]+)').group(1)
        self.wait_log(READY)
        return self

    @property
    def address(self):
        host, port = self.target.rsplit(':', 1)
        return (host.strip('[]'), int(port))


class RProxy(Program):
    prefix = 'rproxy'

    def __init__(self, binary, s_proxies, *options, listens=('mqtt://127.0.0.1:0',), **program):
        argv = [binary]
        for target in s_proxies:
            argv += ['--s-proxy', target]
        for url in listens:
            argv += ['--listen', url]
        super().__init__('r-proxy', argv + list(options), **program)

    def wait_ready(self):
        self.wait_listens()
        return self


class Relay(Program):
    """lib/relay.py in a process of its own; see there for the commands."""

    def __init__(self, target, pace=None):
        self.name = 'relay'
        self.target = target
        self.child = subprocess.Popen([PYTHON, os.path.join(HERE, 'relay.py'), target[0], str(target[1])] +
                                      ([] if pace is None else [str(pace)]), env=ENVIRONMENT, text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.child.pid
        self.port = int(self.child.stdout.readline())
        self.address = ('127.0.0.1', self.port)

    def tell(self, word):
        self.child.stdin.write(word + '\n')
        self.child.stdin.flush()
        return self.child.stdout.readline().strip()

    def stop(self):
        self.child.stdin.close()
        self.child.wait(PATIENCE)

    def tail(self, count=40):
        return ''


def run_command(argv, patience=None, **options):
    """A short-lived command: its exit code, stdout and stderr."""
    done = subprocess.run([*ENDS_WITH_PARENT, *argv], env={**ENVIRONMENT, **options.pop('env', {})},
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=patience or PATIENCE, check=False, **options)
    return done.returncode, done.stdout, done.stderr.decode('utf-8', 'replace')


def parse_url(url):
    """mqtt://127.0.0.1:1883 -> ('127.0.0.1', 1883); unix:/path -> '/path'."""
    if url.startswith('unix:'):
        return url[len('unix:'):]
    host, port = url.split('://', 1)[1].rsplit(':', 1)
    return (host.strip('[]'), int(port))


def bracket(host):
    return f'[{host}]' if ':' in host else host


def user_name():
    return pwd.getpwuid(os.getuid()).pw_name


def is_listening(address):
    try:
        connect_to(address, 1).close()
        return True
    except OSError:
        return False
