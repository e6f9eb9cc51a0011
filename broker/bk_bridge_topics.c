/* Topics of a bridge (bk_bridge_topics.h). */
#include "bk_bridge_topics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mqtt_topic.h"

char *bk_bridge_join(const char *prefix, const char *text)
{
    const char *front = prefix ? prefix : "";
    char *joined = malloc(strlen(front) + strlen(text) + 1);
    return joined ? strcat(strcpy(joined, front), text) : NULL;
}

int bk_bridge_topics_add(struct bk_bridge_topics *t, const char *filter, const char *local_prefix,
                         const char *remote_prefix, enum bk_bridge_way ways, uint8_t qos)
{
    struct bk_bridge_topic *list = realloc(t->list, (t->n + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    t->list = list;
    struct bk_bridge_topic *line = &list[t->n++];
    *line = (struct bk_bridge_topic){
        .local = bk_bridge_join(local_prefix, filter),
        .remote = bk_bridge_join(remote_prefix, filter),
        .local_prefix_len = local_prefix ? (uint32_t)strlen(local_prefix) : 0,
        .remote_prefix_len = remote_prefix ? (uint32_t)strlen(remote_prefix) : 0,
        .ways = (uint8_t)ways,
        .qos = qos,
    };
    return line->local && line->remote ? 0 : -ENOMEM;
}

void bk_bridge_topics_deinit(struct bk_bridge_topics *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->list[i].local);
        free(t->list[i].remote);
    }
    free(t->list);
    *t = (struct bk_bridge_topics){.list = NULL};
}

static struct mqtt_bytes bk_bridge_text(const char *text, size_t len)
{
    return (struct mqtt_bytes){(const uint8_t *)text, (uint32_t)len};
}

bool bk_bridge_topics_map(const struct bk_bridge_topics *t, enum bk_bridge_way way, struct mqtt_bytes topic,
                          struct bk_bridge_name *ret_name)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct bk_bridge_topic *line = &t->list[i];
        const bool is_out = way == BK_BRIDGE_OUT;
        const char *from = is_out ? line->local : line->remote, *to = is_out ? line->remote : line->local;
        const uint32_t from_len = is_out ? line->local_prefix_len : line->remote_prefix_len;
        const uint32_t to_len = is_out ? line->remote_prefix_len : line->local_prefix_len;
        if (!(line->ways & way) || !mqtt_topic_matches(bk_bridge_text(from, strlen(from)), topic))
            continue;
        /* "a/#" matches "a", which is shorter than the prefix "a/": there is no such name on the other side */
        if (topic.len < from_len)
            continue;
        ret_name->prefix = bk_bridge_text(to, to_len);
        ret_name->rest = (struct mqtt_bytes){topic.ptr + from_len, topic.len - from_len};
        if (ret_name->prefix.len + ret_name->rest.len == 0)
            continue;
        return true;
    }
    return false;
}
