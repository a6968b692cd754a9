"""Data-Juicer's special tokens, with which a text says where images, videos and sounds belong."""

IMAGE = "<__dj__image>"
AUDIO = "<__dj__audio>"
VIDEO = "<__dj__video>"
END_OF_CHUNK = "<|__dj__eoc|>"
ALL = (IMAGE, AUDIO, VIDEO, END_OF_CHUNK)
