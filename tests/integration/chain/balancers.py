"""nginx and haproxy as gRPC balancers between r-proxy and s-proxies: trunks and streams of the relay service pass, outlive a
reload and silence, and find another s-proxy. What stands in the configurations here stands in README.md too."""

import os
import time

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.load import Loads
from lib.peer import CLOSED
from lib.programs import Haproxy, Nginx

TOLD = 0x8B
HAPROXY_TIMEOUTS = ('5s', '50s')        # what Debian's haproxy.cfg has: connect, client and server

HAPROXY = """
defaults
    mode http
    timeout connect {connect}
    timeout client {idle}
    timeout server {idle}
    retries 1
    option redispatch 1
frontend trunks
    bind 127.0.0.1:{{port}} {bind}
    default_backend s_proxies
backend s_proxies
"""

NGINX = """
upstream s_proxies {{
{servers}
}}
server {{
    listen 127.0.0.1:{{port}} {listen};
    client_max_body_size 0;
{server}
    location / {{
        grpc_pass {scheme}://s_proxies;
{location}
    }}
}}
"""


def start_haproxy(t, s_proxies, bind='proto h2', server='proto h2', timeouts=HAPROXY_TIMEOUTS):
    connect, idle = timeouts
    servers = ''.join(f'    server s{i} 127.0.0.1:{s_proxy.address[1]} {server}\n' for i, s_proxy in enumerate(s_proxies))
    return t.add(Haproxy(t.folder, HAPROXY.format(connect=connect, idle=idle, bind=bind) + servers))


def start_nginx(t, s_proxies, listen='http2', scheme='grpc', server='', location=''):
    """SERVER, LOCATION: more lines of these blocks."""
    servers = '\n'.join(f'    server 127.0.0.1:{s_proxy.address[1]};' for s_proxy in s_proxies)
    return t.add(Nginx(t.folder, NGINX.format(servers=servers, listen=listen, scheme=scheme, server=server, location=location)))


def target(balancer):
    return f'localhost:{balancer.port}'


def served_by(t, balancer, *options):
    """An r-proxy before BALANCER; a message of 2 MB passes each way, which is more than nginx takes of a request unless told."""
    r_proxy = t.r_proxy(target(balancer), *options)
    c = t.served('first')
    c.subscribe((t.topic('first'), 1))
    c.publish_to_itself(t.topic('first'), b'x' * 2_000_000)
    c.disconnect()
    return r_proxy


def joined(certs, name):
    """Certificate and key in one file, as haproxy wants them."""
    return certs.write(f'{name}-both.pem', (certs.read(f'{name}.pem') + certs.read(f'{name}-key.pem')).decode())


def has_ended(c):
    """Whether C was told that its s-proxy is gone; if not, it must be served."""
    c.send_quietly(wire.pingreq())
    got = c.next()
    if got != CLOSED and got.kind == 'PINGRESP':
        return False
    assert got != CLOSED and got.kind == 'DISCONNECT' and got.code == TOLD, got
    c.expect_closed()
    return True


def check_fail_over(t, s_proxies):
    """The s-proxy of some clients dies: they are told, the others go on, all of them and new ones are served."""
    clients = [t.served(f'c{i}') for i in range(8)]
    dying = max(s_proxies, key=lambda s_proxy: s_proxy.metric('sproxy_sessions_open'))
    count = dying.metric('sproxy_sessions_open')
    dying.kill()
    t.programs.remove(dying)
    ended = [c for c in clients if has_ended(c)]
    assert len(ended) == count, (len(ended), count)
    for c in ended:
        t.served(c.name).fence()
    for c in clients:
        if c not in ended:
            c.fence()


# ---- haproxy


@chain_test(relay=True)
def haproxy_finds_another_s_proxy(t):
    """Two s-proxies behind `proto h2`, with Debian's time-outs: large messages pass, and one of the two dies."""
    broker = t.mosquitto()
    s_proxies = [t.s_proxy([broker.url]) for _ in range(2)]
    balancer = start_haproxy(t, s_proxies)
    served_by(t, balancer, '--workers', '2')
    check_fail_over(t, s_proxies)


@chain_test(relay=True)
def haproxy_may_end_tls(t):
    """TLS before an s-proxy in clear text, and mutual TLS on both legs, where the balancer's certificate is what s-proxy lets in."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = t.mosquitto()
    plain = t.s_proxy([broker.url])
    front = f'ssl crt {joined(certs, "server")} alpn h2'
    served_by(t, start_haproxy(t, [plain], bind=front), *certs.client_side(name=None))
    strict = t.s_proxy([broker.url], *certs.server_side('--trunk-allow-names', 'client'))
    balancer = start_haproxy(t, [strict], bind=f'{front} verify required ca-file {certs["ca.pem"]}',
                             server=f'ssl verify required ca-file {certs["ca.pem"]} crt {joined(certs, "client")} alpn h2')
    served_by(t, balancer, *certs.client_side())
    strict.assert_metrics(sproxy_r_proxies_refused_total=0)


# ---- nginx


@chain_test(relay=True)
def nginx_finds_another_s_proxy(t):
    """Two s-proxies behind grpc_pass: large messages pass, and one of the two dies."""
    broker = t.mosquitto()
    s_proxies = [t.s_proxy([broker.url]) for _ in range(2)]
    served_by(t, start_nginx(t, s_proxies), '--workers', '2')
    check_fail_over(t, s_proxies)


def check_reload(t, balancer, r_proxy):
    """The balancer reads its configuration again under load: nobody is closed, nothing is lost, and new clients come in."""
    loads = Loads(t, 10)
    balancer.reload()
    loads.go_on()
    t.served('late').fence()
    loads.stop()
    r_proxy.assert_metrics(rproxy_clients_lost_total=0)


@chain_test(relay=True)
def nginx_reloads_and_closes_nobody(t):
    """SIGHUP in the middle, in clear text."""
    s_proxy = t.s_proxy([t.mosquitto().url])
    balancer = start_nginx(t, [s_proxy])
    check_reload(t, balancer, served_by(t, balancer, '--workers', '1'))


@chain_test(relay=True)
def nginx_with_tls_on_both_legs_reloads_and_closes_nobody(t):
    """Mutual TLS before nginx and behind it; SIGHUP in the middle."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    s_proxy = t.s_proxy([t.mosquitto().url], *certs.server_side('--trunk-allow-names', 'client'))
    server = (f'ssl_certificate {certs["server.pem"]}; ssl_certificate_key {certs["server-key.pem"]};'
              f'ssl_client_certificate {certs["ca.pem"]}; ssl_verify_client on;')
    location = (f'grpc_ssl_certificate {certs["client.pem"]}; grpc_ssl_certificate_key {certs["client-key.pem"]};'
                f'grpc_ssl_trusted_certificate {certs["ca.pem"]}; grpc_ssl_verify on; grpc_ssl_name localhost;'
                'grpc_ssl_server_name on;')
    balancer = start_nginx(t, [s_proxy], 'ssl http2', 'grpcs', server, location)
    check_reload(t, balancer, served_by(t, balancer, '--workers', '1', *certs.client_side()))


# ---- silence

SHORT_S = 1                                         # the balancer's time-outs
OFTEN = ('--trunk-dead-after', '1200ms')            # heartbeats every 400 ms


def idle_haproxy(t, s_proxy, seconds):
    return start_haproxy(t, [s_proxy], timeouts=('5s', f'{seconds}s'))


def idle_nginx(t, s_proxy, seconds):
    return start_nginx(t, [s_proxy],
                       server=f'client_body_timeout {seconds}s; send_timeout {seconds}s; keepalive_timeout {seconds}s;',
                       location=f'grpc_read_timeout {seconds}s; grpc_send_timeout {seconds}s;')


def keep_silent(r_proxies, seconds):
    """For so long nothing but heartbeats is on the trunks."""
    before = [r_proxy.metric('rproxy_messages_sent_total') for r_proxy in r_proxies]
    time.sleep(seconds)             # silence is nothing but time
    for r_proxy, was in zip(r_proxies, before):
        assert r_proxy.metric('rproxy_messages_sent_total') > was


def check_silence(t, balancers, options, seconds):
    """A client behind each of the BALANCERS says nothing for so long, and is served as before."""
    r_proxies = [served_by(t, balancer, '--workers', '1', *options) for balancer in balancers]
    clients = [t.served(f'silent{i}', keep_alive=0, address=r_proxy.address) for i, r_proxy in enumerate(r_proxies)]
    keep_silent(r_proxies, seconds)
    for c, r_proxy in zip(clients, r_proxies):
        c.fence()
        r_proxy.assert_metrics(rproxy_trunks_opened_total=1)


@chain_test()
def heartbeats_keep_a_silent_trunk_through_a_balancer(t):
    """No client says anything for three of its time-outs: the trunk stays."""
    s_proxy = t.s_proxy([t.mosquitto().url], *OFTEN)
    check_silence(t, [start(t, s_proxy, SHORT_S) for start in (idle_haproxy, idle_nginx)], OFTEN, 3 * SHORT_S)


@chain_test()
def a_balancer_that_cuts_a_trunk_is_told_to_its_clients(t):
    """The same without heartbeats (--trunk-dead-after 0): 0x8B with the reason, and the next trunk serves."""
    s_proxy = t.s_proxy([t.mosquitto().url], '--trunk-dead-after', '0')
    for start in (idle_haproxy, idle_nginx):
        served_by(t, start(t, s_proxy, SHORT_S), '--workers', '1', '--trunk-dead-after', '0')
        c = t.served('silent', keep_alive=0)
        c.expect('DISCONNECT', code=TOLD)
        c.expect_closed()
        t.served('again').fence()


@chain_test(only_all=True)
def silent_trunks_outlive_the_default_time_outs(t):
    """haproxy with Debian's 50 s, nginx with its own 60 s, for 130 s."""
    s_proxy = t.s_proxy([t.mosquitto().url])
    check_silence(t, [start_haproxy(t, [s_proxy]), start_nginx(t, [s_proxy])], (), 130)


# ---- nobody behind it


@chain_test()
def a_balancer_without_s_proxies_is_told_to_clients(t):
    """They hear 0x88; when an s-proxy has come they are served."""
    for start in (start_haproxy, start_nginx):
        broker = t.mosquitto()
        gone = t.s_proxy([broker.url])
        gone.stop()
        r_proxy = t.r_proxy(target(start(t, [gone])), '--workers', '1')
        c = t.client('c')
        c.connect(code=0x88)
        c.expect_closed()
        r_proxy.wait_log('cannot be used, more attempts follow: .*status: 50[23]')
        t.s_proxy([broker.url], listen=gone.target)
        t.served('later').fence()
