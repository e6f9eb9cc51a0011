/* Who may open a trunk, or a stream of the relay service: whoever shows one of the tokens of --trunk-tokens-file, has a
 * certificate with one of the names of --trunk-allow-names, and is one of trunk-identities, as far as these are given.
 * Without any, everybody whom TLS lets in. Any thread, unless said otherwise.
 *
 * Trunks and streams that are open stay open when tokens and names change. When trunk-identities do, a trunk is looked
 * at again with its next lane (sp_admission_identify()). */
#ifndef SP_ADMISSION_H
#define SP_ADMISSION_H

#include <stdbool.h>

struct rpc_stream;
struct sp_admission;
struct sp_identity;
struct sp_metrics;
struct sp_options;

/* 0 or negative errno with err_text(). */
int sp_admission_new(const struct sp_options *options, struct sp_admission **ret_admission);
/* NULL is fine. */
struct sp_admission *sp_admission_free(struct sp_admission *a);
/* Take all of it anew. 0; negative errno with err_text(): all is as it was. One thread at a time. */
int sp_admission_reload(struct sp_admission *a, const struct sp_options *options);

/* Whether STREAM, which has not been accepted yet, may go on: then *RET_IDENTITY is what its r-proxy may, with a
 * reference for the caller; NULL: there is no list. If not it is answered (UNAUTHENTICATED or PERMISSION_DENIED),
 * freed, counted in METRICS and logged. On its loop. */
bool sp_admission_check(struct sp_admission *a, struct rpc_stream *stream, struct sp_metrics *metrics,
                        struct sp_identity **ret_identity);

/* Another number than before: sp_admission_reload() has been called. */
unsigned sp_admission_generation(struct sp_admission *a);
/* Who the r-proxy of STREAM, which was accepted, is now; as above. False: nobody any more, counted and logged. */
bool sp_admission_identify(struct sp_admission *a, const struct rpc_stream *stream, struct sp_metrics *metrics,
                           struct sp_identity **ret_identity);

#endif
