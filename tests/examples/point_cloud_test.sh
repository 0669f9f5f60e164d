#!/usr/bin/env bash
# A payload with containers arrives as it was built.
source "$(dirname "$0")/support.sh"

start point_cloud point_cloud
ends_with 0 point_cloud
diff - "$directory/point_cloud.out" <<END || fail 'other output was expected'
lidar_front: 10000 points, 3 of a wall
lidar_front: 20000 points, 3 of a wall
lidar_front: 30000 points, 3 of a wall
END
nothing_is_left
