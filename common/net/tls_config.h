/* Options about TLS, the same in every program that has them: of a listener for MQTT clients, and towards a broker. A
 * program puts the struct into its options and the table with its offset into its tables. */
#ifndef TLS_CONFIG_H
#define TLS_CONFIG_H

#include "config.h"
#include "tls.h"
#include "tls_identity.h"

struct tls_server_config {
    char *cert, *key, *key_password_file;
    char *client_ca, *crl;
    char *ciphers, *psk_file;
    int client_auth; /* 0: not given; else enum tls_client_auth + 1 */
    int min_version; /* enum tls_min_version */
    int identity;    /* enum tls_identity */
    int ocsp;        /* enum tls_ocsp_mode */
};

struct tls_client_config {
    char *ca, *crl, *cert, *key, *server_name;
    int ocsp; /* enum tls_ocsp_mode */
};

enum { TLS_SERVER_OPTION_ROWS = 11, TLS_CLIENT_OPTION_ROWS = 6 };
extern const struct config_row tls_server_option_rows[TLS_SERVER_OPTION_ROWS];
extern const struct config_row tls_client_option_rows[TLS_CLIENT_OPTION_ROWS]; /* upstream-tls-... */
/* The same as keys of an entry of a list (struct config_entries): tls-... */
extern const struct config_row tls_entry_option_rows[TLS_CLIENT_OPTION_ROWS];
#define TLS_SERVER_OPTION_TABLE(offset_of_config)                                            \
    {                                                                                        \
        "TLS of clients", tls_server_option_rows, TLS_SERVER_OPTION_ROWS, (offset_of_config) \
    }
#define TLS_CLIENT_OPTION_TABLE(offset_of_config)                                               \
    {                                                                                           \
        "TLS of the broker", tls_client_option_rows, TLS_CLIENT_OPTION_ROWS, (offset_of_config) \
    }

/* They point into CONFIG. */
struct tls_options tls_options_of_server(const struct tls_server_config *config);
struct tls_options tls_options_of_client(const struct tls_client_config *config);
/* From config_program.check, of a listener with TLS: what is missing. 0 or negative with err_text(). */
int tls_config_check_server(const struct config_loader *l, const struct tls_server_config *config);
int tls_config_check_client(const struct config_loader *l, const struct tls_client_config *config);
/* From config_program.check_files: whether the files can be used. LISTENER: its index in struct config_items. */
int tls_config_check_server_files(const struct config_loader *l, int listener, const struct tls_server_config *config);
int tls_config_check_client_files(const struct config_loader *l, const struct tls_client_config *config);

#endif
