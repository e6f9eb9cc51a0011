/* Errors: a negative errno on the way up, and a text that gains context on the way.
 *
 *   return err_set(-EINVAL, "port %u is not below 65536", port);         where it happens
 *   return err_context(r, "listen %s", name);                            on the way: "listen X: port 70000 ..."
 *   log_error(NULL, "%s", err_text());                                   where somebody knows what it means
 *
 * The text belongs to the thread and lasts until the next err_set() on it. Positive results are outcomes, never errors.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

/* Start a new error text: err_set(-EINVAL, "port %u", port). Gives R (negative errno) so that it can be returned; a
 * macro, so that compiler and analyzer see that the result is not 0. */
#define err_set(r, ...) err_result((r), err_set_text(__VA_ARGS__))
int err_set_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline int err_result(int r, int ignored)
{
    return r;
}
/* The same with ": " and the description of R behind the text. */
int err_errno(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Put context in front of the present text. R >= 0 is returned without change. */
int err_context(int r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Never NULL. */
const char *err_text(void);

#endif
