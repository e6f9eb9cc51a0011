/* What the load generator is asked to do: its command line, checked. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum load_pattern {
    LOAD_PATTERN_PAIRS,      /* publisher i -> subscriber i, a topic for each */
    LOAD_PATTERN_MESH,       /* every subscriber gets every publisher's messages: fan-in and fan-out are its edges */
    LOAD_PATTERN_STORM,      /* clients that only connect, all at once */
    LOAD_PATTERN_IDLE,       /* clients that connect, subscribe and are quiet */
    LOAD_PATTERN_HANDSHAKES, /* clients that do a TLS handshake and go */
};

/* Faults made on purpose by each publisher, to prove that the accounting sees them. */
enum load_inject {
    LOAD_INJECT_NONE,
    LOAD_INJECT_GAP,       /* leaves out a number */
    LOAD_INJECT_DUPLICATE, /* gives a number twice */
    LOAD_INJECT_SWAP,      /* gives two numbers in the wrong order */
};

/* What payloads are made of, behind the stamp. */
enum load_fill {
    LOAD_FILL_LETTERS, /* all the same */
    LOAD_FILL_RANDOM,
    LOAD_FILL_JSON, /* load_telemetry.h; the stamp is part of it */
};

enum {
    LOAD_PROCESSES_MAX = 16,
    LOAD_WINDOW_MAX = 65535,
};

struct load_address {
    struct sockaddr_storage socket;
    socklen_t len;
    bool is_tls;
};

struct load_process_option {
    const char *label;
    int pid;
};

struct load_options {
    struct load_address broker; /* of the subscribers, and of all unless --pub-url is given */
    struct load_address pub_broker;
    enum load_pattern pattern;
    uint32_t publishers;  /* 0: only connecting is measured */
    uint32_t subscribers; /* STORM, IDLE, HANDSHAKES: the clients */
    int version;          /* 4 or 5 */
    int qos;
    int sub_qos;
    bool is_persistent; /* subscribers' sessions outlive their connections */
    uint32_t window;    /* unacknowledged messages of one publisher */
    enum load_fill fill;
    uint32_t payload_len; /* JSON: the longest */
    double rate;          /* messages per second of all publishers together; 0 = flood */
    uint32_t burst;       /* a publisher sends so many at once, as seldom as the rate asks */
    uint32_t together;    /* and so many publishers at the same time */
    bool is_random;       /* at random times, by any publisher */
    uint32_t count;       /* of each publisher; 0 = bounded by time */
    double duration_s;
    double warmup_s; /* after the start of publishing, before the measured window */
    double hold_s;   /* IDLE: quiet time before memory is read */
    double stall_s;  /* subscribers read nothing for so long from the start of publishing; 0 = they always do */
    double drain_s;  /* silence that ends the wait for what is still due */
    double connect_timeout_s;
    double timeout_s;          /* the whole run */
    uint32_t connect_parallel; /* connections being set up at one time; 0 = all */
    uint32_t threads;
    enum load_inject inject;
    bool json;
    const char *relay;    /* file with its counters; NULL: there is none */
    const char *announce; /* file to create when the measured window opens; NULL: none */
    const char *tls_cert; /* PEM: certificate of the clients, and its key; NULL: none */
    struct load_process_option processes[LOAD_PROCESSES_MAX];
    uint32_t process_count;
};

enum load_options_result {
    LOAD_OPTIONS_OK = 0,
    LOAD_OPTIONS_HELP,  /* help was printed: nothing else to do */
    LOAD_OPTIONS_WRONG, /* the reason was printed to stderr */
};

/* Strings in RET_OPTIONS point into ARGV. */
int load_options_parse(int argc, char **argv, struct load_options *ret_options);
const char *load_options_pattern_name(enum load_pattern pattern);
const char *load_options_fill_name(enum load_fill fill);

#endif
