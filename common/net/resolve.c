/* See resolve.h: libuv's getaddrinfo threads. */
#include "resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "address.h"
#include "err.h"
#include "loop.h"

struct resolve {
    uv_getaddrinfo_t request;
    struct loop_task task; /* answers for a numeric address */
    union conn_address numeric;
    uint16_t port;
    bool is_looking_up; /* libuv has the request: it frees */
    resolve_fn *fn;     /* NULL once answered or cancelled */
    void *arg;
};

static void resolve_answer(struct resolve *r, const union conn_address *addresses, size_t n, const char *text)
{
    resolve_fn *fn = r->fn;
    r->fn = NULL;
    if (fn)
        fn(r, addresses, n, text, r->arg);
    free(r);
}

static void resolve_on_task(struct loop_task *task)
{
    struct resolve *r = container_of(task, struct resolve, task);
    resolve_answer(r, &r->numeric, 1, "");
}

static bool resolve_has(const union conn_address *addresses, size_t n, const union conn_address *address)
{
    for (size_t i = 0; i < n; i++) {
        if (address_equal(&addresses[i], address))
            return true;
    }
    return false;
}

size_t resolve_collect(const struct addrinfo *info, uint16_t port, union conn_address *addresses)
{
    size_t n = 0;
    for (; info && n < RESOLVE_MAX; info = info->ai_next) {
        union conn_address address;
        address_from_sockaddr(info->ai_addr, &address);
        address_set_port(&address, port);
        if (!resolve_has(addresses, n, &address))
            addresses[n++] = address;
    }
    return n;
}

static void resolve_on_result(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
    struct resolve *r = request->data;
    union conn_address addresses[RESOLVE_MAX];
    size_t n = status == 0 ? resolve_collect(info, r->port, addresses) : 0;
    uv_freeaddrinfo(info);
    r->is_looking_up = false;
    resolve_answer(r, addresses, n, status < 0 ? uv_strerror(status) : n == 0 ? "no address" : "");
}

int resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *fn, void *arg,
                  struct resolve **ret_resolve)
{
    struct resolve *r = calloc(1, sizeof(*r));
    if (!r)
        return err_errno(-ENOMEM, "resolve %s", host);
    r->fn = fn;
    r->arg = arg;
    r->port = port;
    r->request.data = r;
    loop_task_init(&r->task, resolve_on_task);
    if (address_parse(host, port, &r->numeric)) {
        loop_defer(loop, &r->task);
        *ret_resolve = r;
        return 0;
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int result = uv_getaddrinfo(loop_uv(loop), &r->request, resolve_on_result, host, NULL, &hints);
    if (result < 0) {
        free(r);
        return err_set(result, "resolve %s: %s", host, uv_strerror(result));
    }
    r->is_looking_up = true;
    *ret_resolve = r;
    return 0;
}

struct resolve *resolve_cancel(struct resolve *r)
{
    if (!r || !r->fn)
        return NULL;
    r->fn = NULL;
    if (r->is_looking_up) {
        uv_cancel((uv_req_t *)&r->request); /* what cannot be cancelled any more ends later, and frees R then */
        return NULL;
    }
    loop_task_cancel(&r->task);
    free(r);
    return NULL;
}
