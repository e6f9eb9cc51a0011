"""Start and stop what stands between the load generator and the broker, and the broker itself.

A chain is a broker and the commands of a peer, each on free ports of the loopback interface, in a folder of its own for
configuration and output. Nothing is shared between two chains, so that one measurement can't spoil the next.
"""

import json
import os
import pwd
import random
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

START_LIMIT_S = 15
ENDS_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL", "--"]  # nothing is left over, however this process ends
HERE = os.path.dirname(os.path.abspath(__file__))
NULL_BROKER = os.path.join(HERE, "null_broker.py")
CERTS = os.path.join(HERE, "..", "..", "deploy", "certs")


class ChainError(Exception):
    pass


def end_on_signals():
    """SIGTERM and SIGHUP end a run as Ctrl-C does: what it has started and written goes with it."""

    def end(number, _):
        for again in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(again, signal.SIG_IGN)
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    """Below the range from which the kernel takes the ports of outgoing connections: among the thousands of those, one could
    have taken it before the program for which it is meant listens."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        top = int(f.read().split()[0])
    while True:
        port = random.randrange(min(10000, top // 2), top)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def free_ports(count):
    ports = set()
    while len(ports) < count:
        ports.add(free_port())
    return ports


MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
# No change of user: with it the kernel forgets that the broker is to end with the run.
user {user}
# Nothing may be dropped here: what is missing at the end was lost on the way.
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay {nodelay}
{tls}
"""

HAPROXY_CONF = """\
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen hop
  bind 127.0.0.1:{listen_port}{bind_options}
{rules}
  server next 127.0.0.1:{next_port}{server_options}
"""

# Like our programs, it does nothing for a client that has not said anything yet.
HAPROXY_WAIT = """\
  tcp-request inspect-delay 1h
  tcp-request content accept if { req.len gt 0 }
  tcp-request content reject
"""


class Peer:
    """A name and commands in starting order, from the broker outwards. In a command are replaced:

    {listen} {listen_port}   where the load generator will connect
    {link} {link_port}       between the two programs of the chain; where bytes are counted, a relay stands there, and the
                             last command gets its address
    {broker} {broker_port}   where the broker listens
    {scheme}                 mqtt, or mqtts where clients connect with TLS
    {dir}                    an empty folder

    {listen}, {link} and {broker} are HOST:PORT.
    """

    broker = None        # a Broker: the peer is a broker of its own, in place of that of all others
    has_metrics = False  # its programs answer SIGUSR1 with their counters, in the log

    def __init__(self, name, commands):
        self.name = name
        self.commands = commands

    @classmethod
    def parse(cls, text):
        name, equals, commands = text.partition("=")
        commands = [c.strip() for c in commands.split(";") if c.strip()]
        if not name or not equals or not commands:
            raise ChainError(f"peer '{text}': is not NAME=COMMAND;COMMAND")
        for command in commands:
            shlex.split(command)
        return cls(name, commands)

    def prepare(self, ports, folder, tls=None):
        """The commands as argument lists. `ports` has also far_link, the link as the last of several commands sees it, and
        near_broker, the broker as the first one does. `tls`: for the one where clients connect."""
        near = {"dir": folder, "scheme": "mqtts" if tls else "mqtt"}
        for name, port in (("listen", ports["listen"]), ("link", ports["link"]), ("broker", ports["near_broker"])):
            near[name] = f"127.0.0.1:{port}"
            near[f"{name}_port"] = port
        far = {**near, "link": f"127.0.0.1:{ports['far_link']}", "link_port": ports["far_link"]}
        last = len(self.commands) - 1
        try:
            stages = [[part.format(**(far if 0 < number == last else near)) for part in shlex.split(command)]
                      for number, command in enumerate(self.commands)]
        except (KeyError, IndexError) as e:
            raise ChainError(f"peer {self.name}: {e} is not among {', '.join(near)}") from None
        if tls and stages:
            stages[-1] += self.tls_arguments(tls)
        return stages

    def tls_arguments(self, tls):
        raise ChainError(f"peer {self.name}: how it serves with TLS is not known here")


class Direct(Peer):
    """Nothing between the load generator and a broker."""

    def __init__(self, name="direct", broker=None):
        super().__init__(name, [])
        self.broker = broker


class Broker:
    """A command with {port} and {dir}, and a file that it reads: {dir}/conf, with the same replaced."""

    def __init__(self, command, conf=""):
        self.command, self.conf = command, conf

    def argv(self, port, folder):
        with open(os.path.join(folder, "conf"), "w") as f:
            f.write(self.conf.replace("{port}", str(port)).replace("{dir}", folder))
        return [part.format(port=port, dir=folder) for part in shlex.split(self.command)]


class Haproxy(Peer):
    """Two haproxy in TCP mode, one thread each: what carrying bytes through two programs costs at least."""

    def __init__(self, name="haproxy"):
        super().__init__(name, [None, None])
        self.near_bind_options = self.far_server_options = ""

    def prepare(self, ports, folder, tls=None):
        return [self.hop(folder, "near", ports["link"], ports["near_broker"], self.near_bind_options, ""),
                self.hop(folder, "far", ports["listen"], ports["far_link"], self.tls_bind_options(tls), self.far_server_options,
                         HAPROXY_WAIT if tls else "")]

    @staticmethod
    def tls_bind_options(tls):
        if not tls:
            return ""
        return f" ssl crt {tls.server}" + (f" verify required ca-file {tls.ca}" if tls.ca else "")

    @staticmethod
    def hop(folder, name, listen_port, next_port, bind_options, server_options, rules=""):
        path = os.path.join(folder, f"{name}.cfg")
        with open(path, "w") as f:
            f.write(HAPROXY_CONF.format(listen_port=listen_port, next_port=next_port, bind_options=bind_options,
                                        server_options=server_options, rules=rules))
        return ["haproxy", "-db", "-f", path]


class TlsPerClient(Haproxy):
    """What devices do that speak MQTT over TLS: a connection for each. The two haproxy only add and take off the TLS."""

    def __init__(self):
        super().__init__("MQTT over TLS, a connection per client")

    def prepare(self, ports, folder, tls=None):
        certificate = os.path.join(folder, "certificate.pem")
        make_certificate(certificate)
        self.near_bind_options = f" ssl crt {certificate}"
        self.far_server_options = " ssl verify none"
        return super().prepare(ports, folder, tls)


class Tls:
    """Files for TLS where clients connect, made in FOLDER. KIND: "ecdsa" (P-256) or "rsa" (2,048 bits), the key of the server's
    certificate; "mutual": ecdsa, and clients have to show one as well."""

    def __init__(self, kind, folder):
        self.server = os.path.join(folder, "tls-server.pem")  # with its key, as that of the clients
        self.client = self.ca = None
        if kind != "mutual":
            make_certificate(self.server, kind)
            return
        made = os.path.join(folder, "certs")
        run_to_end([CERTS, made])
        self.client = os.path.join(folder, "tls-client.pem")
        self.ca = os.path.join(made, "ca.pem")
        for name, path in (("server", self.server), ("client", self.client)):
            join_files(path, os.path.join(made, f"{name}.pem"), os.path.join(made, f"{name}-key.pem"))


def run_to_end(argv):
    try:
        subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    except OSError as e:
        raise ChainError(f"{argv[0]}: {e.strerror}") from None
    except subprocess.CalledProcessError as e:
        raise ChainError(f"{argv[0]}: {e.stderr.strip()}") from None


def join_files(path, *parts):
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as both:
        for part in parts:
            with open(part) as f:
                both.write(f.read())


KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}


def make_certificate(path, kind="ecdsa"):
    """One of its own, and its key, in one file."""
    certificate, key = path + ".cert", path + ".key"
    run_to_end(["openssl", "req", "-x509", "-newkey", *KEYS[kind], "-nodes", "-days", "2", "-subj", "/CN=localhost",
                "-keyout", key, "-out", certificate])
    join_files(path, certificate, key)


class Chain:
    """Use as a context manager. `broker_command` None = mosquitto; else a template with {port} and {dir}. `relay`: the program
    counting-relay, put between the last two programs: that is the wide-area network, if this were one. `hold_s`: it is put
    before the broker instead, and reads nothing for so long of the first client that sends much (0 = always reads). `tls_kind`:
    clients connect with TLS (class Tls)."""

    def __init__(self, peer, broker_command=None, nodelay=False, relay=None, hold_s=None, tls_kind=None):
        self.peer = peer
        self.broker_command = broker_command
        self.nodelay = nodelay
        self.relay = relay
        self.hold_s = hold_s
        self.tls_kind = tls_kind
        self.tls = None
        self.processes = []  # (label, Popen), the broker first

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.ports = dict(zip(("broker", "link", "listen", "relay"), free_ports(4)))
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()

    def start(self):
        if self.tls_kind:
            self.tls = Tls(self.tls_kind, self.folder)
        self.spawn("broker", self.broker_argv())
        self.wait_for_port("broker")
        is_before_broker = self.relay and self.hold_s is not None
        if is_before_broker:
            self.spawn_relay("broker", [str(int(self.hold_s * 1000))] if self.hold_s else [])
        self.ports["near_broker"] = self.ports["relay" if is_before_broker else "broker"]
        self.ports["far_link"] = self.ports["relay" if self.relay and not is_before_broker else "link"]
        stages = self.peer.prepare(self.ports, self.folder, self.tls)
        for number, argv in enumerate(stages, 1):
            is_last = number == len(stages)
            if self.relay and not is_before_broker and is_last and number > 1:
                self.spawn_relay("link")
            self.spawn(f"p{number}", argv)
            # All but the last listen on the link, the last where clients connect.
            self.wait_for_port("listen" if is_last else "link")
        if not stages:
            self.ports["listen"] = self.ports["near_broker"]
        if self.relay and not is_before_broker and len(stages) < 2:  # nothing to stand between: the clients connect through it
            self.spawn_relay("listen")
            self.ports["listen"] = self.ports["relay"]

    def spawn_relay(self, before, options=()):
        self.spawn("relay", [self.relay, str(self.ports["relay"]), str(self.ports[before]), self.relay_counters, *options])
        self.wait_for_port("relay")

    def broker_argv(self):
        broker = self.peer.broker or (Broker(self.broker_command) if self.broker_command else None)
        if broker and self.broker_tls():
            raise ChainError(f"{broker.command}: how it serves with TLS is not known here")
        if broker:
            return broker.argv(self.ports["broker"], self.folder)
        path = os.path.join(self.folder, "mosquitto.conf")
        with open(path, "w") as f:
            f.write(MOSQUITTO_CONF.format(port=self.ports["broker"], user=pwd.getpwuid(os.getuid()).pw_name,
                                          nodelay="true" if self.nodelay else "false", tls=self.mosquitto_tls()))
        return [shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or "mosquitto", "-c", path]

    def broker_tls(self):
        """None: it serves in clear text"""
        return None if self.peer.commands else self.tls

    def mosquitto_tls(self):
        tls = self.broker_tls()
        if not tls:
            return ""
        client = f"\ncafile {tls.ca}\nrequire_certificate true" if tls.ca else ""
        return f"certfile {tls.server}\nkeyfile {tls.server}{client}"

    def spawn(self, label, argv):
        if not shutil.which(argv[0]):
            raise ChainError(f"{self.peer.name}: {argv[0]}: no such program")
        with open(os.path.join(self.folder, f"{label}.log"), "wb") as out:
            process = subprocess.Popen([*ENDS_WITH_PARENT, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.processes.append((label, process))

    def wait_for_port(self, name):
        """The programs say nothing when they are ready, so ask again and again."""
        label, process = self.processes[-1]
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            if process.poll() is not None:
                raise ChainError(f"{self.peer.name}: {label} has ended with {process.returncode}: {self.last_words(label)}")
            try:
                socket.create_connection(("127.0.0.1", self.ports[name]), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise ChainError(f"{self.peer.name}: {label} does not listen on port {self.ports[name]}: {self.last_words(label)}")

    def last_words(self, label):
        return self.logged(label)[-300:].strip().replace("\n", " | ") or "(no output)"

    def metrics(self, label, last):
        """The counters of a program that logs them at SIGUSR1, {name without the program's: number}, up to LAST."""
        before = len(self.logged(label))
        dict(self.processes)[label].send_signal(signal.SIGUSR1)
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            found = dict(re.findall(r"metric [rs]proxy_(\w+) (\d+)\n", self.logged(label)[before:]))
            if last in found:
                return {name: int(value) for name, value in found.items()}
            time.sleep(0.01)
        raise ChainError(f"{self.peer.name}: {label} does not log {last}: {self.last_words(label)}")

    def logged(self, label):
        with open(os.path.join(self.folder, f"{label}.log"), errors="replace") as f:
            return f.read()

    def dead(self):
        """Labels of programs that should run and do not."""
        return [label for label, process in self.processes if process.poll() is not None]

    def stop(self):
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.ports['listen']}"

    @property
    def broker_url(self):
        return f"{'mqtts' if self.broker_tls() else 'mqtt'}://127.0.0.1:{self.ports['broker']}"

    @property
    def relay_counters(self):
        return os.path.join(self.folder, "relay.counters")

    def arguments(self):
        """For the load generator: what to measure."""
        pids = [f"--pid={label}={process.pid}" for label, process in self.processes if label != "relay"]
        return [*pids, *([f"--relay={self.relay_counters}"] if self.relay else []), *self.client_arguments()]

    def client_arguments(self):
        """What its clients have to show."""
        return [f"--tls-cert={self.tls.client}"] if self.tls and self.tls.client else []


def load(program, url, arguments, limit_s=300):
    """Run the load generator; its JSON report, with `exit_code` added. A run without report is a ChainError."""
    with Load(program, url, arguments) as running:
        return running.report(limit_s)


def load_beside(program, url, arguments, beside, limit_s=300):
    """The same, and a second run with the arguments BESIDE, which starts when the measured window of the first begins: its
    report is report["beside"]."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begun = os.path.join(folder, "begun")
        with Load(program, url, [*arguments, f"--announce={begun}"]) as running:
            while not os.path.exists(begun) and running.process.poll() is None:
                time.sleep(0.01)
            second = load(program, url, beside, limit_s)
            return {**running.report(limit_s), "beside": second}


class Load:
    """A run of the load generator; it ends with the block."""

    def __init__(self, program, url, arguments):
        self.argv = [program, "--url", url, "--json", *arguments]

    def __enter__(self):
        self.process = subprocess.Popen([*ENDS_WITH_PARENT, *self.argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.communicate()

    def report(self, limit_s):
        try:
            out, errors = self.process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise ChainError(f"{' '.join(self.argv)}: still running after {limit_s} s") from None
        if not out:
            raise ChainError(f"{' '.join(self.argv)}: exit code {self.process.returncode}: {errors.strip()}")
        return {**json.loads(out), "exit_code": self.process.returncode}


def serves(program, chain, limit_s):
    """Does a message of a new client pass within LIMIT_S?"""
    report = load(program, chain.url, ["--count=1", f"--timeout={limit_s}", f"--connect-timeout={limit_s}", f"--drain={limit_s}",
                                       *chain.client_arguments()])
    return report["clean"]


def wait_until_served(program, chain):
    """A chain may listen before its own connections are up."""
    limit = time.monotonic() + START_LIMIT_S
    while not serves(program, chain, 2):
        if chain.dead() or time.monotonic() > limit:
            ended = f"; ended: {', '.join(chain.dead())}" if chain.dead() else ""
            raise ChainError(f"{chain.peer.name}: no message passes{ended}")
        time.sleep(0.05)
