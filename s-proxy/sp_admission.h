/* Who may open a trunk, or a stream of the relay service: whoever shows one of the tokens of --trunk-tokens-file and
 * has a certificate with one of the names of --trunk-allow-names, as far as these are given. Without either, everybody
 * whom TLS lets in. Trunks and streams that are open stay open when this changes. Any thread, unless said otherwise. */
#ifndef SP_ADMISSION_H
#define SP_ADMISSION_H

#include <stdbool.h>

struct config_list;
struct rpc_stream;
struct sp_admission;
struct sp_metrics;

/* TOKENS_FILE may be NULL, NAMES empty. 0 or negative errno with err_text(). */
int sp_admission_new(const char *tokens_file, const struct config_list *names, struct sp_admission **ret_admission);
/* NULL is fine. */
struct sp_admission *sp_admission_free(struct sp_admission *a);
/* Take both anew. 0; negative errno with err_text(): all is as it was. One thread at a time. */
int sp_admission_reload(struct sp_admission *a, const char *tokens_file, const struct config_list *names);

/* Whether STREAM, which has not been accepted yet, may go on. If not it is answered (UNAUTHENTICATED or
 * PERMISSION_DENIED), freed, counted in METRICS and logged. On its loop. */
bool sp_admission_check(struct sp_admission *a, struct rpc_stream *stream, struct sp_metrics *metrics);

/* Of the option, one name: 0, or -EINVAL with err_text(). */
int sp_admission_check_name(const char *name);

#endif
