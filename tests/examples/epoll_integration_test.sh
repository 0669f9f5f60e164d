#!/usr/bin/env bash
# A subscriber in a plain epoll loop misses nothing.
source "$(dirname "$0")/support.sh"

start epoll_integration epoll_integration
ends_with 0 epoll_integration
diff - "$directory/epoll_integration.out" <<<'received 1000 numbers, lost 0' ||
  fail 'other output was expected'
nothing_is_left
