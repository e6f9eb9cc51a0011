"""A real browser with MQTT.js in it: Debian's Chromium without a screen, a page that a server here hands out, and what the page
tells that server."""

import hashlib
import http.server
import json
import os
import queue
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.parse

from .case import Skip
from .peer import PATIENCE
from .programs import ENDS_WITH_PARENT, HERE, Program, run_command

PAGES = os.path.join(os.path.dirname(HERE), 'browser')
PROGRAM = '/usr/lib/chromium/chromium-headless-shell'   # what is in /usr/bin is a script, which would end without it
MQTT_JS = '5.16.0'      # exactly this one, and these bytes of it
MQTT_JS_SHA256 = 'c7d13d6dedf4c15063fb61d645c82d07d2a24f79b15736f313e96e116177950f'
NPM_PATIENCE_S = 60


why_not = None                      # of this process: asked for once


def fetch_mqtt_js(folder):
    """The path of MQTT.js for browsers, from npm into FOLDER unless it is there. Nothing of the package is run."""
    global why_not                  # pylint: disable=global-statement
    path = os.path.join(folder, f'mqtt-{MQTT_JS}.js')
    if not os.path.exists(path) and not why_not:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            why_not = npm_pack(work)
            if not why_not:
                os.rename(unpack(work), path)
    if why_not:
        raise Skip(why_not)
    return path


def npm_pack(work):
    """None, or why it cannot be had."""
    npm = shutil.which('npm')
    if not npm:
        return 'npm is not installed'
    try:
        done = subprocess.run([*ENDS_WITH_PARENT, npm, 'pack', '--loglevel=error', '--fetch-retries=0', f'mqtt@{MQTT_JS}'], cwd=work,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=NPM_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired:
        return f'npm does not come to an end within {NPM_PATIENCE_S} s: no registry?'
    said = (done.stderr or done.stdout).decode('utf-8', 'replace').strip()
    return None if done.returncode == 0 else f'npm cannot fetch mqtt@{MQTT_JS}: {said[:300]}'


def unpack(work):
    archive = os.path.join(work, f'mqtt-{MQTT_JS}.tgz')
    with open(archive, 'rb') as packed:
        found = hashlib.sha256(packed.read()).hexdigest()
    assert found == MQTT_JS_SHA256, f'{archive}: SHA-256 is {found}'
    path = os.path.join(work, 'mqtt.js')
    with tarfile.open(archive) as files, open(path, 'wb') as out:
        shutil.copyfileobj(files.extractfile('package/dist/mqtt.min.js'), out)
    return path


class PageServer:
    """Hands out the page on loopback and keeps what it tells."""

    def __init__(self, mqtt_js):
        self.told = queue.Queue()
        files = {'/': ('text/html', os.path.join(PAGES, 'page.html')), '/mqtt.js': ('text/javascript', mqtt_js),
                 '/page.js': ('text/javascript', os.path.join(PAGES, 'page.js'))}
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                kind, path = files.get(urllib.parse.urlsplit(self.path).path, (None, None))
                self.send_response(200 if path else 404)
                self.send_header('Content-Type', kind or 'text/plain')
                self.end_headers()
                if path:
                    with open(path, 'rb') as content:
                        shutil.copyfileobj(content, self.wfile)

            def do_POST(self):
                told.put(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, skip=()):
        """What the page tells next; what is in SKIP may come before."""
        while True:
            try:
                got = self.told.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError('the page says nothing') from None
            if got['what'] not in skip:
                return got

    def expect(self, what, skip=(), **fields):
        """It is this."""
        got = self.next(skip)
        assert got['what'] == what and all(got[name] == value for name, value in fields.items()), f'{got} instead of {what} {fields}'
        return got

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def believe(home, ca):
    """In the way of NSS, whose store of certificates Chromium reads."""
    store = os.path.join(home, '.pki', 'nssdb')
    os.makedirs(store)
    for arguments in (['-N', '--empty-password'], ['-A', '-n', 'test', '-t', 'C,,', '-i', ca]):
        code, _, error = run_command(['certutil', '-d', f'sql:{store}', *arguments])
        assert code == 0, error


class Browser(Program):
    """Chromium at ADDRESS; it believes the authority in the file CA."""

    def __init__(self, folder, address, ca=None):
        if not os.path.exists(PROGRAM):
            raise Skip(f'{PROGRAM} is not installed: deploy/install-packages browser')
        home = tempfile.mkdtemp(prefix='browser-', dir=folder)
        if ca:
            believe(home, ca)
        # with a port for a debugger it stays when the page is loaded
        super().__init__('chromium', [PROGRAM, '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                                      '--remote-debugging-port=0', f'--user-data-dir={home}/data', address], env={'HOME': home})

    def stop(self):
        self.kill()
