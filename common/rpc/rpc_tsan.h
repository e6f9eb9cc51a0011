/* libgrpc carries what it is given from thread to thread by atomics that ThreadSanitizer, which sees only our code,
 * knows nothing of: it is told that what was done before the release of P is seen after its acquisition. */
#ifndef RPC_TSAN_H
#define RPC_TSAN_H

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define rpc_tsan_release(p) __tsan_release((void *)(p))
#define rpc_tsan_acquire(p) __tsan_acquire((void *)(p))
#else
#define rpc_tsan_release(p) ((void)(p))
#define rpc_tsan_acquire(p) ((void)(p))
#endif

#endif
