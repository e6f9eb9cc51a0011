/* Any bytes as an ACL file with a user, a client id, a filter and a topic, each behind a NUL: what an open subscription
 * brings may be delivered, and a filter that is a topic is covered as it is matched. */
#include "acl.h"
#include "ensure.h"
#include "memory_file.h"
#include "mqtt_topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_view(const struct acl_view *v, struct mqtt_bytes filter, struct mqtt_bytes topic)
{
    if (!mqtt_topic_name_is_valid(topic) || !mqtt_topic_filter_is_valid(filter))
        return;
    const bool may_receive = acl_may_receive(v, topic);
    (void)acl_may_publish(v, topic);
    const enum acl_subscription answer = acl_may_subscribe(v, filter);
    if (answer == ACL_SUBSCRIPTION_OPEN && !mqtt_topic_is_shared(filter) && mqtt_topic_matches(filter, topic))
        ensure(may_receive);
    if (!mqtt_topic_is_shared(topic))
        ensure((acl_may_subscribe(v, topic) != ACL_SUBSCRIPTION_REFUSED) == may_receive);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct mqtt_bytes rest = {.ptr = bytes, .len = (uint32_t)len};
    const struct mqtt_bytes file = take_text(&rest), user = take_text(&rest), client_id = take_text(&rest),
                            filter = take_text(&rest), topic = take_text(&rest);
    struct acl *acl, *claims;
    struct acl_view v;
    if (acl_load(memory_file(file), &acl) < 0)
        return 0;
    acl_view_init(&v, acl, NULL, user, client_id);
    check_view(&v, filter, topic);
    acl_view_deinit(&v);
    ensure(acl_new(&claims) == 0);
    (void)acl_add_pattern(claims, ACL_PUBLISH | ACL_SUBSCRIBE, filter);
    acl_view_init(&v, acl, claims, user, client_id);
    check_view(&v, filter, topic);
    acl_view_deinit(&v);
    acl_unref(claims);
    acl_unref(acl);
    return 0;
}
