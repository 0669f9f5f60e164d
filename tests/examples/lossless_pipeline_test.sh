#!/usr/bin/env bash
# A slow reader loses nothing under lossless delivery.
source "$(dirname "$0")/support.sh"

start pipeline lossless_pipeline
ends_with 0 pipeline
prints pipeline '^200 of 200 images, 0 lost$'
nothing_is_left
