"""mqtt-passwd: users added, changed and taken out; what it writes is checked by other programs."""

import base64
import hashlib
import hmac
import os
import pty
import stat
import subprocess
import termios

from lib.case import chain_test
from lib.peer import PATIENCE
from lib.programs import run_command


def passwd(t, *arguments, password=None, **options):
    """Exit code, stdout and stderr as text; PASSWORD goes to its standard input."""
    program = os.path.join(t.tools.build, 'broker', 'passwd', 'mqtt-passwd')
    done = subprocess.run([program, *arguments], input=(password or '') + '\n', capture_output=True, text=True, timeout=PATIENCE,
                          check=False, **options)
    return done.returncode, done.stdout, done.stderr


def good(t, *arguments, **options):
    code, out, error = passwd(t, *arguments, **options)
    assert code == 0 and not out and not error, (arguments, code, error)


def bad(t, words, *arguments, **options):
    code, out, error = passwd(t, *arguments, **options)
    assert code == 1 and not out and words in error and error.startswith('mqtt-passwd: '), (arguments, code, error)


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def write(path, text, mode=0o600):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    os.chmod(path, mode)


def unpadded(text):
    return base64.b64decode(text + '=' * (-len(text) % 4))


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@chain_test()
def hashes_are_those_of_other_programs(t):
    """argon2, Python's scrypt and Python's HMACs come to the same from the salt and the costs in the line."""
    path = os.path.join(t.folder, 'passwords')
    good(t, '-b', path, 'alice', 'pässwörd')
    good(t, '-b', '--hash', 'scrypt', path, 'bob', 'pässwörd')
    good(t, '-b', '--hash', 'scram', '--iterations', '5000', path, 'carol', 'pässwörd')
    alice, bob, carol = (line.split(':', 1)[1] for line in read(path).splitlines())

    _, kind, version, costs, salt, _ = alice.split('$')
    memory, rounds, lanes = (part.split('=')[1] for part in costs.split(','))
    assert (kind, version, lanes) == ('argon2id', 'v=19', '1') and int(memory) >= 19456 and int(rounds) >= 3
    # argon2 takes the salt as an argument: one without NUL
    if b'\0' not in unpadded(salt):
        done = subprocess.run(['argon2', unpadded(salt), '-id', '-t', rounds, '-k', memory, '-p', lanes, '-l', '32', '-e'],
                              input='pässwörd'.encode(), capture_output=True, check=True, timeout=PATIENCE)
        assert done.stdout.decode().strip() == alice

    _, kind, costs, salt, key = bob.split('$')
    n, r, p = (int(part.split('=')[1]) for part in costs.split(','))
    assert kind == 'scrypt' and n >= 15
    assert hashlib.scrypt('pässwörd'.encode(), salt=unpadded(salt), n=2 ** n, r=r, p=p, maxmem=1 << 28, dklen=32) == unpadded(key)

    kind, costs, keys = carol.split('$')
    iterations, salt = costs.split(':')
    assert kind == 'SCRAM-SHA-256' and iterations == '5000'
    salted = hashlib.pbkdf2_hmac('sha256', 'pässwörd'.encode(), base64.b64decode(salt), 5000)
    stored = hashlib.sha256(hmac.digest(salted, b'Client Key', 'sha256')).digest()
    server = hmac.digest(salted, b'Server Key', 'sha256')
    assert [base64.b64decode(key) for key in keys.split(':')] == [stored, server]


@chain_test()
def other_lines_stay_as_they_are(t):
    """A change touches one line; comments, blank lines and unknown ones stay; users are added at the end."""
    path = os.path.join(t.folder, 'passwords')
    write(path, '# the team\n\nalice:$7$101$a$b\nalice2:x\n odd line \nbob:y')
    good(t, '-b', path, 'alice', 'new')
    lines = read(path).split('\n')
    assert lines[2].startswith('alice:$argon2id$') and lines[:2] + lines[3:] == ['# the team', '', 'alice2:x', ' odd line ', 'bob:y', '']
    good(t, '-b', path, 'zoë', 'new')
    assert read(path).split('\n')[6].startswith('zoë:$argon2id$')
    good(t, '-D', path, 'alice')
    good(t, '-D', path, 'bob')
    lines = read(path).split('\n')
    assert lines[:4] == ['# the team', '', 'alice2:x', ' odd line '] and lines[4].startswith('zoë:') and len(lines) == 6
    bad(t, 'there is no user alice', '-D', path, 'alice')
    assert read(path).split('\n') == lines
    good(t, '-c', '-b', path, 'dora', 'x')
    assert read(path).startswith('dora:$argon2id$') and read(path).count('\n') == 1
    assert os.listdir(t.folder) == ['passwords'], 'something is left over'


@chain_test()
def nobody_else_can_read_it(t):
    """A new file has mode 0600 whatever the umask; one for a group stays that; one for everybody does not."""
    path = os.path.join(t.folder, 'passwords')
    before = os.umask(0)
    try:
        good(t, '-b', path, 'alice', 'x')
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    for old, new in ((0o640, 0o640), (0o644, 0o640), (0o666, 0o660)):
        os.chmod(path, old)
        good(t, '-b', path, 'alice', 'x')
        assert mode(path) == new, oct(mode(path))


@chain_test()
def a_link_and_an_owner_stay(t):
    """The file behind a symbolic link is changed; a file of the broker's user is still that user's."""
    path, link = os.path.join(t.folder, 'real'), os.path.join(t.folder, 'link')
    write(path, '')
    os.symlink('real', link)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    good(t, '-b', link, 'alice', 'x')
    assert os.path.islink(link) and read(path).startswith('alice:')
    if os.geteuid() == 0:
        found = os.stat(path)
        assert (found.st_uid, found.st_gid) == (12345, 23456)


@chain_test()
def many_at_once_lose_nobody(t):
    """Twelve programs add a user each to the same file at the same time: all are in it."""
    path = os.path.join(t.folder, 'passwords')
    program = os.path.join(t.tools.build, 'broker', 'passwd', 'mqtt-passwd')
    running = [subprocess.Popen([program, '-b', '--hash', 'scram', '--iterations', '4096', path, f'user{i}', 'x']) for i in range(12)]
    assert [process.wait(PATIENCE) for process in running] == [0] * 12
    assert sorted(line.split(':')[0] for line in read(path).splitlines()) == sorted(f'user{i}' for i in range(12))
    assert os.listdir(t.folder) == ['passwords']


@chain_test()
def the_password_comes_from_standard_input(t):
    """Without -b: its first line, which may be piped."""
    path = os.path.join(t.folder, 'passwords')
    good(t, '--hash', 'scrypt', path, 'alice', password='two words\nnot this')
    _, _, _, salt, key = read(path).strip().split('$')
    assert hashlib.scrypt(b'two words', salt=unpadded(salt), n=2 ** 15, r=8, p=1, maxmem=1 << 28, dklen=32) == unpadded(key)
    bad(t, 'the password is empty', path, 'alice', password='')
    bad(t, 'more than 1024 bytes', path, 'alice', password='x' * 1025)


def on_terminal(t, answers, *arguments):
    """What a terminal shows, and the exit code."""
    program = os.path.join(t.tools.build, 'broker', 'passwd', 'mqtt-passwd')
    leader, follower = pty.openpty()
    process = subprocess.Popen([program, *arguments], stdin=follower, stdout=follower, stderr=follower)
    shown = b''
    for question, answer in answers:
        while question not in shown:
            shown += os.read(leader, 1000)
        assert not termios.tcgetattr(follower)[3] & termios.ECHO, 'the terminal shows what is typed'
        os.write(leader, answer + b'\n')
    code = process.wait(PATIENCE)
    assert termios.tcgetattr(follower)[3] & termios.ECHO, 'the terminal shows nothing any more'
    os.close(follower)
    try:
        while more := os.read(leader, 1000):
            shown += more
    except OSError:
        pass                    # the other side is closed: all has been read
    os.close(leader)
    return shown, code


@chain_test()
def a_terminal_is_asked_twice_and_shows_nothing(t):
    """Two equal answers make a user, two different ones an error; neither appears on the screen."""
    path = os.path.join(t.folder, 'passwords')
    shown, code = on_terminal(t, ((b'Password: ', b'geheim'), (b'again: ', b'geheim')), path, 'alice')
    assert code == 0 and b'geheim' not in shown and read(path).startswith('alice:$argon2id$')
    before = read(path)
    shown, code = on_terminal(t, ((b'Password: ', b'geheim'), (b'again: ', b'gemein')), path, 'alice')
    assert code == 1 and b'two different passwords' in shown and b'geheim' not in shown and read(path) == before


@chain_test()
def what_cannot_be_done_is_said_and_changes_nothing(t):
    """Bad words, bad names, files that cannot be written: exit status 1, a line on stderr, the file as it was."""
    path = os.path.join(t.folder, 'passwords')
    write(path, 'alice:x\n')
    for words, arguments in (
            ('expected FILE and USER', ()), ('expected FILE and USER', (path,)), ('expected FILE and USER', (path, 'a', 'b')),
            ('and PASSWORD', ('-b', path, 'a')), ('unknown option', ('-x', path, 'a')), ('unknown option', ('--hash',)),
            ('expected argon2id, scrypt or scram', ('--hash', 'md5', path, 'a')), ('--iterations: ', ('--iterations', '10', path, 'a')),
            ('-D and -c', ('-D', '-c', path, 'a')), ('no colon', ('-b', path, 'a:b', 'x')), ('no control character', ('-b', path, 'a\nb', 'x')),
            ('not empty', ('-b', path, '', 'x')), ('does not begin with #', ('-b', path, '#a', 'x')), ('is UTF-8', ('-b', path, b'\xff', 'x')),
            ('the password is empty', ('-b', path, 'a', '')), ('No such file', ('-D', path + '-none', 'a')),
            ('No such file', ('-b', path + '-none/x', 'a', 'x')), ('Is a directory', ('-b', t.folder, 'a', 'x'))):
        bad(t, words, *arguments)
    assert read(path) == 'alice:x\n' and os.listdir(t.folder) == ['passwords']


@chain_test()
def help_and_version(t):
    """On stdout, exit status 0."""
    code, out, error = passwd(t, '--help')
    assert code == 0 and not error and all(word in out for word in ('-b', '-c', '-D', '--hash', '--iterations', '0600'))
    code, out, error = passwd(t, '--version')
    assert code == 0 and not error and out.startswith('mqtt-passwd ') and out.count('\n') == 1


@chain_test()
def files_of_mosquitto_passwd_can_be_continued(t):
    """A file begun with mosquitto_passwd takes our users as well, and its own stay."""
    path = os.path.join(t.folder, 'passwords')
    code, _, error = run_command(['mosquitto_passwd', '-b', '-c', path, 'alice', 'x'])
    assert code == 0, error
    line = read(path)
    good(t, '-b', path, 'bob', 'y')
    assert read(path).startswith(line + 'bob:$argon2id$')
