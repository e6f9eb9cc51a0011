"""Clients that are busy while a test changes something under them."""

import threading
import time

PAUSE_S = 0.01          # between the messages of one: it is to be busy, not to take the machine


class Load:
    """A client in a thread of its own. It publishes to itself with QoS 1, one message after the other, and each must come back:
    a message that is lost, doubled or late for ever, and a close, are its error."""

    def __init__(self, client, topic):
        self.client, self.topic = client, topic
        self.count, self.error, self.is_over = 0, None, False
        client.is_quiet = True
        client.subscribe((topic, 1))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over:
                self.client.publish_to_itself(self.topic, b'%d' % self.count)
                self.count += 1
                time.sleep(PAUSE_S)
        except Exception as error:              # pylint: disable=broad-except
            self.error = error


class Loads:
    """COUNT of them, named NAME0 and so on; ADDRESS: where they connect, the test's own unless given."""

    def __init__(self, t, count, name='load', address=None):
        self.all = [Load(t.served(f'{name}{i}', address=address), t.topic(f'{name}{i}')) for i in range(count)]

    def go_on(self):
        """Everybody is served: an exchange that begins after this call has come to its end."""
        before = [load.count for load in self.all]
        while any(load.count < was + 2 for load, was in zip(self.all, before)):
            self.check()
            self.all[0].thread.join(0.01)

    def check(self):
        for load in self.all:
            if load.error:
                raise load.error

    def stop(self):
        self.go_on()
        for load in self.all:
            load.is_over = True
        for load in self.all:
            load.thread.join()
        self.check()
