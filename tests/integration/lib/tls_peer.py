"""A TLS peer of a test's own, server or client: any certificate, any bytes on the wire, and the alert that it hears.

Python's TLS over memory, so that what leaves can be changed or kept back on its way to the socket.
"""

import socket
import ssl
import threading

from .peer import PATIENCE

ANYTHING = 'ALL:@SECLEVEL=0'        # weak keys and digests too: it is for the other side to refuse them
HANDSHAKE, CERTIFICATE = 22, 11     # content type, handshake type
CUT_BYTES = 40


def context(is_server, ca=None, cert=None, key=None, alpn=None, newest=None):
    """CA: whose certificates are asked for and believed; None: nobody is checked. NEWEST: ssl.TLSVersion."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    made.set_ciphers(ANYTHING)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        made.load_verify_locations(ca)
    if cert:
        made.load_cert_chain(cert, key)
    if alpn:
        made.set_alpn_protocols([alpn])
    if newest:
        made.minimum_version = min(made.minimum_version, newest)
        made.maximum_version = newest
    return made


class TlsPeer:
    """One end of a connection. CHANGE: bytes of our flights -> bytes that leave."""

    def __init__(self, sock, made, is_server=False, name=None, change=lambda flight: flight):
        self.sock, self.change = sock, change
        self.sock.settimeout(PATIENCE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = made.wrap_bio(self.incoming, self.outgoing, server_side=is_server, server_hostname=name)

    def first_flight(self):
        """What a client says first; nothing leaves."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def send_out(self):
        flight = self.outgoing.read()
        if flight:
            self.sock.sendall(self.change(flight))

    def until_done(self, step):
        """STEP(), with bytes in and out as it wants them; what it returns."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self.send_out()
                self.pull()
            except ssl.SSLError:
                self.send_out()             # our own alert
                raise
            else:
                self.send_out()
                return done

    def pull(self):
        chunk = self.sock.recv(1 << 16)
        if chunk:
            self.incoming.write(chunk)
        else:
            self.incoming.write_eof()

    def handshake(self):
        self.until_done(self.tls.do_handshake)
        return self

    def sendall(self, data):
        self.until_done(lambda: self.tls.write(data))

    def recv(self, size=1 << 16):
        return self.until_done(lambda: self.tls.read(size))

    def verdict(self):
        """What the other side says of us: its alert in OpenSSL's words, or 'closed' when it goes without one. Whoever is
        welcome hears nothing, and fails here after PATIENCE."""
        try:
            self.handshake()
            while self.recv():
                pass
        except ssl.SSLEOFError:
            return 'closed'
        except ssl.SSLError as error:
            return error.reason or 'closed'
        except (ConnectionResetError, BrokenPipeError):
            return 'closed'
        finally:
            self.sock.close()
        return 'closed'


def cut_certificate(flight):
    """The bytes of FLIGHT (TLS 1.2, where a certificate travels in the clear) with a certificate that ends CUT_BYTES early; all
    lengths around it are right."""
    out = b''
    while flight:
        size = 5 + int.from_bytes(flight[3:5], 'big')
        record, flight = flight[:size], flight[size:]
        if record[0] == HANDSHAKE and record[5] == CERTIFICATE and len(record) > 15 + CUT_BYTES:
            der = record[15:15 + int.from_bytes(record[12:15], 'big') - CUT_BYTES]
            body = b''.join((length.to_bytes(3, 'big') for length in (len(der) + 3, len(der)))) + der
            body = bytes([CERTIFICATE]) + len(body).to_bytes(3, 'big') + body
            record = record[:3] + len(body).to_bytes(2, 'big') + body
        out += record
    return out


class TlsServer:
    """Takes one connection after the other in a thread of its own and keeps what each said of our certificate."""

    def __init__(self, made, change=lambda flight: flight):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.made, self.change = made, change
        self.verdicts = []
        self.changed = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return                      # closed
            verdict = TlsPeer(sock, self.made, is_server=True, change=self.change).verdict()
            with self.changed:
                self.verdicts.append(verdict)
                self.changed.notify_all()

    def wait_verdict(self):
        """Of the first connection."""
        with self.changed:
            assert self.changed.wait_for(lambda: self.verdicts, PATIENCE), 'nobody has come'
            return self.verdicts[0]

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)        # so that accept() ends
            self.listener.close()

