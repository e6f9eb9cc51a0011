/* A program with one option of every kind, for all tests of config. */
#ifndef SAMPLE_PROGRAM_H
#define SAMPLE_PROGRAM_H

#include "config.h"

struct sample_limits {
    uint64_t connect_timeout_ms;
    uint64_t max_packet_size;
    int64_t receive_maximum;
};

struct sample_listener {
    char *url;
    char *tls_cert;
    int tls_ocsp;
    bool proxy_protocol;
};

struct sample_room {
    char *name;
    int64_t beds;
    struct config_list guests;
    struct config_items shelves; /* of struct sample_shelf */
};

struct sample_shelf {
    int64_t books;
    char *label;
};

struct sample_options {
    uint32_t before; /* nothing may write here */
    struct sample_limits limits;
    struct config_list upstream;
    char *mqtt_url;
    char *password;
    bool allow_anonymous, keep;
    int level; /* CUSTOM: length of the text, negative when it came from OTHER_LEVEL */
    struct config_items listeners;
    struct config_items rooms; /* of struct sample_room */
    uint32_t behind;
};

enum { SAMPLE_UNTOUCHED = 0x5a5a5a5a };

extern const struct config_program sample_program;
/* What the program was warned about; reset by sample_load(). */
extern char sample_warning[256];

/* Load from a command line without argv[0], ended by NULL. */
int sample_load(struct sample_options *o, const char *const *words);
#define SAMPLE_LOAD(o, ...) sample_load((o), (const char *const[]){__VA_ARGS__, NULL})
/* Write the file of that name in the present (temporary) directory. */
void sample_write_file(const char *name, const char *text);

/* Fixture: an empty temporary directory to work in, and no variable of the program set. */
void sample_setup(void);
void sample_teardown(void);

#endif
