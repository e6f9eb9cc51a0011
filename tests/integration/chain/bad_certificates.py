"""Every kind of certificate that must not be believed, on every leg: which alert the peer hears and which line the log has.

The other side is of the test's own (lib/tls_peer.py), since no program of the world's would show some of these. libgrpc closes
without an alert, so on trunks there is only the line.
"""

import os
import ssl

from lib.case import chain_test
from lib.certs import Certs
from lib.peer import connect_to
from lib.tls_peer import TlsPeer, TlsServer, context, cut_certificate

REVOKED, EXPIRED, UNKNOWN_CA = 'SSLV3_ALERT_CERTIFICATE_REVOKED', 'SSLV3_ALERT_CERTIFICATE_EXPIRED', 'TLSV1_ALERT_UNKNOWN_CA'
BAD, UNSUPPORTED, DECODE_ERROR = 'SSLV3_ALERT_BAD_CERTIFICATE', 'SSLV3_ALERT_UNSUPPORTED_CERTIFICATE', 'TLSV1_ALERT_DECODE_ERROR'
UNREADABLE = "the peer's certificate cannot be read: too long"


class Shown:
    """A certificate of FOLDER that somebody shows. ALERT: our answer on MQTT legs; REASON: why it is refused, on all legs;
    IS_CUT: it arrives truncated."""

    def __init__(self, folder, name, alert, reason, is_cut=False):
        self.name, self.alert, self.reason, self.is_cut = name, alert, reason, is_cut
        self.files = {'cert': folder[f'{name}.pem'], 'key': folder[f'{name}-key.pem'],
                      'newest': ssl.TLSVersion.TLSv1_2 if is_cut else None}
        self.change = cut_certificate if is_cut else lambda flight: flight

    def to(self, address, **options):
        """A client shows it; the alert that it hears."""
        return TlsPeer(connect_to(address), context(False, **self.files, **options), change=self.change).verdict()

    def serve(self, t, **options):
        """A server shows it."""
        server = TlsServer(context(True, **self.files, **options), self.change)
        t.peers.append(server)
        return server

    def line(self, with_name, cut):
        """What our log says of it: WITH_NAME and the reason, or CUT."""
        return cut if self.is_cut else with_name % self.name + self.reason


def shown_by_both(t, certs):
    """Bad for clients and for servers."""
    other = Certs(os.path.join(t.folder, 'other'))
    certs.sign('short', key='rsa:1024').sign('sha1', digest='sha1')
    certs.add_authority('old').sign('md5', digest='md5', authority=('old.pem', 'old-key.pem'))      # MD5 goes with RSA alone
    return [Shown(certs, 'expired', EXPIRED, 'certificate has expired'),
            Shown(other, 'revoked', UNKNOWN_CA, 'unable to get local issuer certificate'),
            Shown(certs, 'short', BAD, 'EE certificate key too weak'),
            Shown(certs, 'sha1', BAD, 'CA signature digest algorithm too weak'),
            Shown(certs, 'md5', BAD, 'CA signature digest algorithm too weak')]


@chain_test()
def bad_certificates_of_clients_are_refused(t):
    """MQTT clients at r-proxy and r-proxies at s-proxy: revoked, expired, of another authority, of 1,024 bits, signed with SHA-1 and
    MD5, truncated, a server's. Each hears its alert, and the log has its name and the reason."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    bad = [*shown_by_both(t, certs), Shown(certs, 'revoked', REVOKED, 'certificate revoked'),
           Shown(certs, 'client', DECODE_ERROR, None, is_cut=True),
           Shown(certs, 'server', UNSUPPORTED, 'unsuitable certificate purpose')]
    r_proxy = t.r_proxy('127.0.0.1:1', *certs.mutual_door(), listens=('mqtts://127.0.0.1:0',))
    s_proxy = t.s_proxy(['mqtt://127.0.0.1:1'], *certs.server_side())
    for one in bad:
        since = r_proxy.mark()
        alert = one.to(r_proxy.address)
        assert alert == one.alert, f'{one.name}: {alert}'
        r_proxy.wait_log('closed: TLS: ' + one.line('certificate CN=%s refused: ', UNREADABLE), since)
        since = s_proxy.mark()
        assert one.to(s_proxy.address, alpn='h2') == 'closed', one.name
        s_proxy.wait_log(one.line('a connection is refused: certificate CN = %s: ', 'Handshake failed .*asn1 .*too long'), since)
    r_proxy.assert_metrics(rproxy_handshakes_failed_total=len(bad))
    s_proxy.assert_metrics(sproxy_handshakes_refused_total=len(bad) - 1)         # the truncated one never came to be judged


@chain_test()
def bad_certificates_of_servers_are_refused(t):
    """Brokers before s-proxy and s-proxies before r-proxy: the same, a client's, and one of another host. On trunks there are no
    revocation lists for s-proxies."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    certs.sign('elsewhere', names='DNS:other.example')
    bad = [*shown_by_both(t, certs), Shown(certs, 'server', BAD, None, is_cut=True),
           Shown(certs, 'client', UNSUPPORTED, 'unsuitable certificate purpose')]
    brokers = [*bad, Shown(certs, 'revoked', REVOKED, 'certificate revoked'),
               Shown(certs, 'elsewhere', BAD, 'hostname mismatch, expected localhost')]
    servers = [one.serve(t) for one in brokers]
    s_proxy = t.s_proxy([f'mqtts://localhost:{server.port}' for server in servers],
                        *certs.upstream('--upstream-tls-crl', certs['crl.pem']))
    t.r_proxy(s_proxy.target)
    t.client('c').connect(code=0x88)            # all of them have been tried
    for one, server in zip(brokers, servers):
        assert server.wait_verdict() == one.alert, (one.name, server.verdicts)
        s_proxy.wait_log(f'localhost:{server.port} .*TLS: ' + one.line('certificate CN=%s refused: ', UNREADABLE))
    targets = [(one, one.serve(t, alpn='h2')) for one in (*bad, Shown(certs, 'elsewhere', None, 'is not one of localhost'))]
    r_proxy = t.r_proxy([f'localhost:{server.port}' for _, server in targets], *certs.client_side('--workers', '1', name=None))
    for one, server in targets:
        assert server.wait_verdict() == 'closed', (one.name, server.verdicts)
        words = one.line('certificate CN = %s:? ', 'asn1 .*too long')
        r_proxy.wait_log(rf's_proxy=ipv4:127\.0\.0\.1:{server.port}: cannot be used, .*{words}')
    r_proxy.assert_metrics(rproxy_trunks_opened_total=0)
